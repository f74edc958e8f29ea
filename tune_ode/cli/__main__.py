"""`python -m tune_ode.cli` is `tune-ode`."""

from tune_ode.cli.main import main

main()
