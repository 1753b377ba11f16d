"""Prompts of the captioner, the HCoT chain, and repeated questions."""
