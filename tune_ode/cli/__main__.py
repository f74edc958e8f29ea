"""Run `tune-ode` as `python -m tune_ode.cli`."""

from tune_ode.cli.entry import main

main()
