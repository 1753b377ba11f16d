"""Scoring every clause of every annotation with the encoder, on Ray Data."""
