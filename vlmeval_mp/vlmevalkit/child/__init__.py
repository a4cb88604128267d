"""Runs inside VLMEvalKit's own interpreter, by file path, and imports nothing of ours."""
