"""Metrics and baselines of the held-out evaluation. Knows nothing of Ray."""
