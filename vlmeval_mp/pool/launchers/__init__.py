"""Where workers come from: this host today, a cluster later."""
