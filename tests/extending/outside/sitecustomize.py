"""Adds the one line of a test to its table, in every process of the run: launch, supervisor and workers."""

import importlib
import os

if "TABLE" in os.environ:
    module, _, name = os.environ["TABLE"].partition(":")
    place = importlib.import_module(module)
    vars(place)[name].update(eval(f"{{{os.environ['LINE']}}}", vars(place)))
