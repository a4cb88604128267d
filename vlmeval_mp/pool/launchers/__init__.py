"""Launchers, which start workers: on this host today, on a cluster later."""
