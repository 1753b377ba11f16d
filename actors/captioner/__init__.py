"""The captioner: its kinds, its deployment on Ray Serve, and the labelling that asks it."""
