"""Sentences from values, and values from free text."""
