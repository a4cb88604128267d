"""Gathers the plan of a run before anything starts: `launch --dry-run` and `plan`."""
