"""The ranking in the terminal."""

from tune_ode.cli.display.ranking.tables import print_ranking

__all__ = ["print_ranking"]
