"""Ranking of trials by accuracy per second or another metric."""

from analysis.ranking.best import best_by_trial, describe_best
from analysis.ranking.rank_trials import rank
from analysis.ranking.table import BudgetPick, Ranking

__all__ = ["BudgetPick", "Ranking", "best_by_trial", "describe_best", "rank"]
