"""A benchmark: its name, its file, its samples."""
