"""The Python API: the commands of `tune-ode` as functions; `tune_ode` has their names."""
