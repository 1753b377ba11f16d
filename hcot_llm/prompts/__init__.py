"""Prompts of the captioner, the HCoT chain, and asking again."""
