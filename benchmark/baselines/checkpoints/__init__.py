"""Checkpoints that others have published, as methods of the benchmark."""
