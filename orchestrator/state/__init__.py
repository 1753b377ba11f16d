"""What a run keeps on disk: its directory, lease, records, losses."""
