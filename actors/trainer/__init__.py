"""The DeepSpeed job under Ray Train and what it needs to be resumed."""
