"""Questions to people: which to ask, how they are shown, and how their answers come back."""
