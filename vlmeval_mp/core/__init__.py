"""Values, errors, paths and disk primitives that everything stands on."""
