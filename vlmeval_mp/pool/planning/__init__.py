"""What a run will need and take, gathered before anything is started: `launch --dry-run` and `plan`."""
