"""One objective a file: its targets and its loss together."""
