"""Reads answers as ms-vlmeval 0.0.20 reads them under exact matching, including its mistakes.

One module per kind of reading; each scorer is held to ms-vlmeval's own code by tests/scoring/test_parity.py, and
docs/scoring.md tells what differs from strict. `readback` is what its files do to text before any rule sees it. Where
ms-vlmeval would stop with an error, or ask a judge, a score has no value and its note says so.
"""
