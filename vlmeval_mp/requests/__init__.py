"""A sample becomes a request: its words and its opened media."""
