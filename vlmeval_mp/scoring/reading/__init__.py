"""Reads numbers, words, letters and phrases in the text of a reply."""
