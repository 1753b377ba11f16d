"""The run configuration: its schema, how it is loaded, its reference."""
