"""Comparisons of solvers and gradients (`tune-ode compare`): load, summarize, show, export."""
