"""One run: its lifetimes, its steps, its record, and the checks before it."""
