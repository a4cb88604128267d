"""Pages about runs, comparisons of runs, exports. Reads runs and changes none."""
