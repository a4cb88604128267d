"""The GPUs and CPU cores of this machine, their memory, and their assignment to workers."""
