"""Blocks of tiles in the object store, shuffled and reserved for."""
