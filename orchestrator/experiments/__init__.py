"""Ablations, throughput and single captions: what is run beside the loop."""
