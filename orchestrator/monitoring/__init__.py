"""What watches a run while it runs: progress, status, memory, the watchdog."""
