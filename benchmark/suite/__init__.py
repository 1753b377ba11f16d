"""The unified benchmark: tasks on labelled data sets, methods that anybody may add, one table."""
