"""The command line: one file per verb, its flags, what it prints and its exit code."""
