"""Makes metrics and their uncertainty from many scores."""
