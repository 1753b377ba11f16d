"""Plain objects that decide: schedule, folds, selection, retention, stall. They know nothing else here."""
