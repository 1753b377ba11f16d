"""What people decided about a run's annotations: kept, taken back, weighed, compared."""
