"""Labelled images without a place on Earth: target chips and scene patches, as benchmarks publish them."""
