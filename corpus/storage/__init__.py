"""Writing and reading files whole, whatever dies meanwhile: atomic writes, the fence, disks, YAML, redaction."""
