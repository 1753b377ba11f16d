"""Evaluation: tasks with a registry, pure metrics, baselines. Knows nothing of Ray."""
