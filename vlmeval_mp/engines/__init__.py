"""Engines, which turn a request into a completion: one file or folder each, and one table of their names."""
