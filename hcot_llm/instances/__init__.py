"""Boxes and relations of single targets."""
