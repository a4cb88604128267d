"""A config file, ours or VLMEvalKit's, and flags become one frozen `RunSpec`."""
