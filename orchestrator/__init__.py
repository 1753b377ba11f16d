"""The loop: schedules, records, tracking, the command line."""

import os

# A run tells nobody outside about itself, whatever the defaults of the libraries are.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
