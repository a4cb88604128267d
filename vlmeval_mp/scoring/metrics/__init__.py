"""Many scores become metrics and their uncertainty."""
