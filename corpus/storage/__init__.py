"""Writing and reading files whole, whatever dies meanwhile: atomic writes, the lease's lock, disks, YAML, redaction."""
