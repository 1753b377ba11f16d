"""Telling a tracking server about a run, once and in order."""
