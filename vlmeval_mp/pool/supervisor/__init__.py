"""The process that starts, watches and restarts workers."""
