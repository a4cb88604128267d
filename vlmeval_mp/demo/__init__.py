"""The bundled model and its benchmark, for a first run and for tests with a real engine.

`model/` and `data/` are made by `scripts/make-demo` from scikit-learn's scans of handwritten digits; README.md tells
how. `digits` owns the scans, `lessons` what is asked of them; `blueprint` and `train` make the model, `benchmark` the
data sets. Nothing else in the package imports any of these.
"""
