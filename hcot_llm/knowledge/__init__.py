"""What geography says of a place, offline."""
