"""Answers as files of other tools: read in, scored, written out."""
