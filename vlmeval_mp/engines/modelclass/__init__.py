"""The engine that runs a VLMEvalKit model class."""
