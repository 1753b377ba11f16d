"""Initial annotations of simulated corpora, and the error rates they are made with."""
