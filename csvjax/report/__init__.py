"""One self-contained page of HTML from the folder of a run."""

from csvjax.report.page import write_report

__all__ = ["write_report"]
