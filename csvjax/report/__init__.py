"""Writes one self-contained HTML page about a run."""

from csvjax.report.page import write_report

__all__ = ["write_report"]
