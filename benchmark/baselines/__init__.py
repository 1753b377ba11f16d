"""Cheap methods that the loop is compared with."""
