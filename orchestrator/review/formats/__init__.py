"""Formats in which questions go out to people and answers come back."""
