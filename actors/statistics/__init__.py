"""Shallow classifiers on intensity statistics as a label source: what needs no network to be seen in a tile."""
