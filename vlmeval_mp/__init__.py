"""Evaluate vision-language models on every GPU of a machine at once, and never lose or repeat an answer.

Importing this package does nothing: no environment edits, no logging set-up, no heavy library. The command line is
`vlmeval_mp.cli`; the values that cross a process or disk border are in `vlmeval_mp.core.records`.
"""

__version__ = "0.1.0"
