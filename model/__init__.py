"""Encoder, captioner, their losses and checkpoints. Knows nothing of Ray, nor of the files of a corpus."""
