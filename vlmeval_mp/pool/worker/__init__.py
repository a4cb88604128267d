"""One process, one GPU group, one model, one engine, for life."""
