"""Output of commands on the terminal: tables on stdout; progress, with the time left, on stderr."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    import pandas as pd
    from rich.progress import Progress

__all__ = ["Begin", "bar", "comparison_table", "metrics_table", "prediction_table", "steps", "table"]

Begin = Callable[[int], Callable[[str], None]]
"""Takes the number of steps and returns a function; call it with a sentence when a step begins."""

_SHOWN = ("mean", "mean_lower90", "mean_upper90", "lower90", "upper90", "observed")
_WIDTH = 200  # characters of a table in a file or a pipe, where names are not folded as they are on a terminal
_MAX_ROWS = 40  # predictions on the terminal; files have all of them


@contextmanager
def bar() -> Iterator[Progress]:
    """A progress bar that disappears when the work is done; it is hidden if stderr is not a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[note]}", style="dim", markup=False),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield progress


@contextmanager
def steps() -> Iterator[Begin]:
    """A `Begin` that shows a progress bar on a terminal, and otherwise prints a numbered sentence for each step."""
    with bar() as progress:

        def begin(total: int) -> Callable[[str], None]:
            task = progress.add_task("", total=total, note="", start=True)
            begun = 0

            def tell(sentence: str) -> None:
                nonlocal begun
                if progress.disable:
                    typer.echo(f"{begun + 1}/{total} {sentence}", err=True)
                progress.update(task, description=sentence, completed=begun)
                begun += 1

            return tell

        yield begin


def table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; the first column is aligned left, the others right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(width=_WIDTH)
    # A name may look like markup or an emoji of rich, so every cell is passed as plain text.
    grid = Table(title=Text(title, style="table.title"), title_justify="left", box=None, pad_edge=False)
    for i, heading in enumerate(headings):
        grid.add_column(Text(heading), justify="right" if i else "left", overflow="fold")
    for row in rows:
        grid.add_row(*map(Text, row))
    console.print(grid)


def comparison_table(found: pd.DataFrame) -> None:
    """Print a table for each split, and the reason of every method that gave no prediction.

    Args:
        found: what `csvjax.evaluate.compare_table.comparison_table` returns.
    """
    headings = ("method", "CRPS", "95 % interval", "against best", "MAE", "in 90 %", "answered")
    for split, rows in found.groupby("split", sort=False):
        shown, silent = [], []
        for row in rows.to_dict("records"):
            if row["reason"]:
                silent.append(f"{row['method']}: {row['status']}: {row['reason']}")
            if row["answered"]:
                shown.append(
                    (
                        row["method"],
                        f"{row['crps']:.4f}",
                        f"{row['crps_low']:.3f} to {row['crps_high']:.3f}",
                        row["against"],
                        f"{row['mae']:.3f}",
                        f"{row['coverage90']:.0%}",
                        f"{row['answered']}/{row['asked']}",
                    )
                )
        table(f"{split}: {rows['asked'].max()} held-out scores", headings, shown)
        for line in silent:
            typer.echo(line)


def metrics_table(metrics: pd.DataFrame) -> None:
    """Print the means over all benchmarks, one row for each split and law."""
    from csvjax.evaluate.table import POOLED

    shown = metrics[metrics["benchmark"] == POOLED]
    names = [f"{split}, {law}" for split, law in zip(shown["split"], shown["law"].str.replace("_", " "), strict=True)]
    columns = [shown[name].map("{:.3f}".format) for name in ("r2", "mae", "crps", "coverage90")]
    headings = ("split, law", "R2", "MAE", "CRPS", "in 90 % interval")
    table("held-out models, mean over benchmarks", headings, list(zip(names, *columns, strict=True)))


def prediction_table(found: pd.DataFrame, title: str) -> None:
    """Print predictions with both kinds of interval and the unit of scores that are not fractions.

    Of a long table only the first rows are printed.
    """
    from csvjax.data.scales import labelled, written

    first = found.head(_MAX_ROWS)
    text = {name: first[name].map(written) for name in _SHOWN}
    units = first["unit"] if "unit" in first else [""] * len(first)
    columns = (
        first["lm"],
        list(map(labelled, first["benchmark"], units)),
        text["mean"],
        text["mean_lower90"] + " to " + text["mean_upper90"],
        text["lower90"] + " to " + text["upper90"],
        text["observed"].replace("nan", ""),
    )
    headings = ("model", "benchmark", "predicted", "90 % of the mean score", "90 % of a new observation", "observed")
    table(title, headings, list(zip(*columns, strict=True)))
    if len(found) > _MAX_ROWS:
        typer.echo(f"and {len(found) - _MAX_ROWS} more rows")
