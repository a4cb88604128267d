"""What people look at after a run: pages, comparisons of runs, exports. Reads runs and changes none."""
