"""Builds requests from samples: the words and the opened media."""
