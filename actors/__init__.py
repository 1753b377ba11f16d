"""Roles on Ray: trainer, captioner, scorer, data, evaluator."""
