"""Evaluation: how data are split into seen and hidden parts, and how good predictions of the hidden part are."""

from csvjax.evaluate.metrics import coverage, crps, interval, log_score, mae, pit, r2, rmse, width
from csvjax.evaluate.splits import Fold, Split, inner, leave_one_out, parse_split, threshold, weak_to_strong
from csvjax.evaluate.table import POOLED, score_table

__all__ = [
    "POOLED",
    "Fold",
    "Split",
    "coverage",
    "crps",
    "inner",
    "interval",
    "leave_one_out",
    "log_score",
    "mae",
    "parse_split",
    "pit",
    "r2",
    "rmse",
    "score_table",
    "threshold",
    "weak_to_strong",
    "width",
]
