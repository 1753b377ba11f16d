"""The Ray cluster: connecting, what it offers, what a run needs of it."""
