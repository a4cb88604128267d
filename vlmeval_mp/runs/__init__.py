"""One run on disk: frozen, queued, answered, looked at, merged, scored."""
