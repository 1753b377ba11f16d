"""Networks taught wrong labels: the standard recipes of learning with noisy labels, on the loop's own backbone."""
