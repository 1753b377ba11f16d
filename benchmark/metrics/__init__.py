"""Pure metrics: arrays and tables in, numbers out. None of them knows what a round is."""
