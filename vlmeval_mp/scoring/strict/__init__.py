"""Scorers by our own stated rules."""
