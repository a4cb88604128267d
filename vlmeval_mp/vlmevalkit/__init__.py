"""Runs VLMEvalKit's own data set classes, for benchmarks without a scorer here, each call in a process of `child/`.

Our process never imports `vlmeval`: that turns off TLS checks, reads a `.env` and takes a gigabyte. `client` asks the
child, `registry` knows which benchmarks there are, `evaluation` turns an evaluator's numbers into a job's results.
"""
