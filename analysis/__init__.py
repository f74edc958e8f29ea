"""Reads runs and says what won: loading, ranking, plots, report; needs neither torch nor ray."""
