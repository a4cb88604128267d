"""Which GPUs and CPU cores there are, what fits on them, and which worker gets which."""
