"""Reads answers by the rule of a benchmark's own authors, where the rule needs no judge."""
