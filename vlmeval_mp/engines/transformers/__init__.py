"""transformers: its models, and how requests become their inputs."""
