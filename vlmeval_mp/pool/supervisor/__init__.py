"""The process that starts, watches and reaps workers."""
