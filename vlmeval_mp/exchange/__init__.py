"""Reads, scores and writes answers as files of other tools."""
