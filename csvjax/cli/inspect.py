"""`csvjax inspect`: whether a fit of the joint law can be trusted, and what it found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from csvjax.cli import show
from csvjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["inspect"]

_MOST = 40  # models on the terminal


def inspect(
    run: Annotated[Path, typer.Argument(metavar="RUN", show_default=False, help="The folder that csvjax fit made.")],
) -> None:
    """A verdict on a fit of the joint law, and tables: convergence, coverage, capabilities, loadings."""
    from csvjax import runs
    from csvjax.joint.files import load_convergence, load_status, load_tree
    from csvjax.joint.tables import capability_table, loading_table, verdict
    from csvjax.laws.fit_joint import told_outliers

    config = runs.read_config(run)
    if config.get("law") != "joint":
        raise InputError(
            f"expected a run of csvjax fit --law joint, found one of csvjax {config.get('command')} with another law "
            f"in {run}; look at it with csvjax report"
        )
    tree, convergence, status = load_tree(run), load_convergence(run), load_status(run)
    held, metrics = _predictions(run)
    typer.echo(verdict(status, convergence, held))
    if config.get("outliers"):
        typer.echo(f"\n{told_outliers(config['outliers'])}")
    facts = f"{config['fitted scores']} scores of {config['fitted models']} models"
    typer.echo(f"\n{facts}, by {tree['posterior'].attrs['method']}, seed {config['seed']}")
    _convergence(convergence, len(tree["posterior"]["chain"]))
    if len(metrics):
        names = ["benchmark", "n", "mae", "crps", "coverage50", "coverage80", "coverage90", "width90"]
        headings = ("benchmark", "scores", "MAE", "CRPS", "in 50 %", "in 80 %", "in 90 %", "90 % width")
        known = metrics.loc[metrics["n"] > 0, names]
        _table("coverage of held-out scores", headings, known, {"n": "{:.0f}"})
    able = capability_table(tree)
    _intervals(f"capabilities, 90 % intervals{_first(len(able))}", able.head(_MOST), ["lm", "family"], [])
    others = ["intercept", "spread", "floor", "ceiling", "n_items"]
    _intervals("loadings, logits per unit of capability", loading_table(tree), ["benchmark"], others)


def _first(count: int) -> str:
    return f" (the first {_MOST} of {count} models)" if count > _MOST else ""


def _predictions(run: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predicted cells and their figures; both empty where nothing was left to predict."""
    import pandas as pd

    paths = run / "predictions.parquet", run / "metrics.csv"
    if not paths[0].is_file():
        return pd.DataFrame(), pd.DataFrame()
    try:
        return pd.read_parquet(paths[0]), pd.read_csv(paths[1])
    except (OSError, ValueError):
        raise InputError(f"expected predictions that csvjax wrote in {run}, found none to be read; fit again") from None


def _convergence(found: pd.DataFrame, chains: int) -> None:
    if found.empty:
        typer.echo("convergence: a method without chains has no r-hat; its status is the sentence above\n")
        return
    headings = ("quantity", "count", "largest r-hat", "fewest in the bulk", "in the tails")
    formats = {"count": "{:.0f}", "bulk_ess": "{:.0f}", "tail_ess": "{:.0f}"}
    _table(f"convergence of {chains} chains: r-hat and effective draws", headings, found, formats)


def _table(title: str, headings: tuple[str, ...], frame: pd.DataFrame, formats: dict[str, str]) -> None:
    rows = [
        [
            str(value) if isinstance(value, str) else formats.get(name, "{:.3f}").format(value)
            for name, value in zip(frame.columns, row, strict=True)
        ]
        for row in frame.itertuples(index=False, name=None)
    ]
    show.table(title, headings, rows)


def _intervals(title: str, frame: pd.DataFrame, text: list[str], others: list[str]) -> None:
    """A table in which `x`, `x lower90` and `x upper90` share a column."""
    names = [name.removesuffix(" lower90") for name in frame.columns if name.endswith(" lower90")]
    rows = []
    for row in frame.to_dict("records"):
        spans = [f"{row[name]:.2f} ({row[f'{name} lower90']:.2f} to {row[f'{name} upper90']:.2f})" for name in names]
        rows.append([*(str(row[name]) for name in text), *spans, *(f"{row[name]:.3g}" for name in others)])
    show.table(title, (*text, *names, *others), rows)
