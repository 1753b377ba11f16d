"""Runs the real loop with steps that take stated or measured times, to try schedules without running them."""
