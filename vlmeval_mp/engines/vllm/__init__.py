"""vLLM: its engine, and how requests become its inputs."""
