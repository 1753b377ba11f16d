"""Simulated SAR scenes whose truth is known exactly."""
