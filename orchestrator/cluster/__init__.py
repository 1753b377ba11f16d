"""The Ray cluster: connecting, its capacity, what a run requires of it, and what Ray prints."""
