"""Georeferenced SAR tiles, simulated scenes and versioned annotations. Knows nothing of models."""
