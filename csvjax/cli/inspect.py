"""`csvjax inspect`: whether a fit can be trusted, and what it found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from csvjax.cli import show
from csvjax.cli.output import check_table_path, with_json, write_table
from csvjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["inspect"]

_MAX_MODELS = 40  # rows of the table of capabilities on the terminal
_UNITS = 5  # units of text that are shown for each benchmark


def _table_option(name: str, what: str) -> Any:
    return typer.Option(
        name,
        metavar="FILE",
        show_default=False,
        help=f"Write {what} to a .csv, .json or .parquet file. Example: {name[2:]}.csv.",
    )


@with_json
def inspect(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", show_default=False, help="Folder or address of a run of csvjax fit or evaluate."),
    ],
    capabilities: Annotated[Path | None, _table_option("--capabilities", "the capabilities of all models")] = None,
    loadings: Annotated[
        Path | None, _table_option("--loadings", "the loadings, floors and ceilings of all benchmarks")
    ] = None,
    salience: Annotated[
        Path | None, _table_option("--salience", "the salience of every unit of text (token or group of tokens)")
    ] = None,
) -> dict[str, Any]:
    """Say whether you can trust a fit, and show what it found.

    The first sentence is the verdict. Then follow convergence, coverage of held-out scores, capabilities of
    the models, loadings of the benchmarks (how strongly each follows a capability), and salience (the text
    whose loss matters most).

    Example: csvjax inspect runs/mine
    """
    from csvjax.object_runs import local_run

    files = {"capabilities": capabilities, "loadings": loadings, "salience": salience}
    for path in files.values():
        if path is not None:
            check_table_path(path)
    with local_run(run) as place:
        return _inspect(place, files)


def _inspect(run: Path, files: dict[str, Path | None]) -> dict[str, Any]:
    from csvjax.cli.law_options import law_words
    from csvjax.result.files import load, load_convergence, load_tree
    from csvjax.result.result import outlier_note
    from csvjax.result.tables import capability_table, loading_table, verdict

    fit, tree, convergence = load(run), load_tree(run), load_convergence(run)
    if files["salience"] is not None and fit.known.units is None:
        raise InputError("--salience needs a fit with losses, found a fit without losses; leave out --salience")
    held, metrics = _predictions(run)
    said = verdict(fit.status, convergence, held)
    typer.echo(said)
    if fit.outliers:
        typer.echo(f"\n{outlier_note(fit.outliers)}")
    seen = fit.evidence.seen
    law = law_words(fit.law, fit.method)
    typer.echo(
        f"\n{int(seen.sum())} scores of {int(seen.any(axis=1).sum())} models, seed {fit.seed}; law: "
        f"{'; '.join([law, *fit.assumed])}"
    )
    _convergence(convergence, len(fit.x))
    if len(metrics):
        _coverage(metrics)
    tables = {"capabilities": capability_table(tree), "loadings": loading_table(tree)}
    _show_capabilities(tables["capabilities"], tables["loadings"])
    if fit.known.units is not None:
        tables["salience"] = fit.salience()
        _salience(tables["salience"])
    for name, path in files.items():
        if path is not None:
            write_table(tables[name], path)
            typer.echo(f"{len(tables[name])} rows of {name}: {path}")
    about = {"verdict": said, "status": str(fit.status), "law": law, "assumed": fit.assumed, "seed": fit.seed}
    return {**about, "outliers": fit.outliers, "convergence": convergence, "coverage": metrics, **tables}


def _coverage(metrics: pd.DataFrame) -> None:
    names = ["benchmark", "n", "mae", "crps", "coverage50", "coverage80", "coverage90", "width90"]
    headings = ("benchmark", "scores", "MAE", "CRPS", "in 50 %", "in 80 %", "in 90 %", "90 % width")
    _table("coverage of held-out scores", headings, metrics.loc[metrics["n"] > 0, names], {"n": "{:.0f}"})


def _show_capabilities(able: pd.DataFrame, loadings: pd.DataFrame) -> None:
    if len(able):
        _intervals(f"capabilities, 90 % intervals{_first(len(able))}", able.head(_MAX_MODELS), ["lm", "family"], [])
    others = ["intercept", "spread", "floor", "ceiling", "n_items"]
    title = "loadings, logits per unit of capability" if len(able) else "benchmarks"
    text = ["benchmark", "unit"] if "unit" in loadings else ["benchmark"]
    _intervals(title, loadings, text, others)


def _first(count: int) -> str:
    return f" (the first {_MAX_MODELS} of {count} models)" if count > _MAX_MODELS else ""


def _predictions(run: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The predictions of the law and their metrics; both are empty where nothing was left to predict."""
    import pandas as pd

    paths = run / "predictions.parquet", run / "metrics.csv"
    if not paths[0].is_file():
        return pd.DataFrame(), pd.DataFrame()
    try:
        cells, metrics = pd.read_parquet(paths[0]), pd.read_csv(paths[1])
    except (OSError, ValueError):
        raise InputError(
            f"expected the predictions of a run in {run}, found files that cannot be read; run the fit again"
        ) from None
    # An evaluation has several splits and also the mean loss; show the first split of the law.
    split = cells["split"].iloc[0]
    law = cells["law"].iloc[-1]
    first, its = ((t["split"] == split) & (t["law"] == law) for t in (cells, metrics))
    return cells[first], metrics[its]


def _convergence(found: pd.DataFrame, chains: int) -> None:
    if found.empty:
        typer.echo(
            "convergence: r-hat needs several chains, which this fit does not have; the first line says whether it "
            "converged\n"
        )
        return
    headings = ("quantity", "count", "largest r-hat", "smallest bulk ESS", "smallest tail ESS")
    formats = {"count": "{:.0f}", "bulk_ess": "{:.0f}", "tail_ess": "{:.0f}"}
    _table(f"convergence of {chains} chains: r-hat and effective sample size (ESS)", headings, found, formats)


def _salience(found: pd.DataFrame) -> None:
    """Print the units of text whose loss says most about each benchmark."""
    from csvjax.result.tables import salience_table

    rows = [
        (
            row["benchmark"],
            repr(row["token"]),
            f"{row['document']} ({row['domain']})",
            f"{row['mean']:.3g} ({row['lower']:.3g} to {row['upper']:.3g})",
            f"{row['share']:.2%}",
            f"{row['base_weight']:.2%}",
        )
        for row in salience_table(found, _UNITS).to_dict("records")
    ]
    headings = ("benchmark", "unit", "document", "logits per nat (90 %)", "share of salience", "share of bytes")
    show.table("salience: the units of text whose loss says most about a benchmark", headings, rows)


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
    """Print a table in which `x`, `x lower90` and `x upper90` share one column."""
    names = [name.removesuffix(" lower90") for name in frame.columns if name.endswith(" lower90")]
    rows = []
    for row in frame.to_dict("records"):
        spans = [f"{row[name]:.2f} ({row[f'{name} lower90']:.2f} to {row[f'{name} upper90']:.2f})" for name in names]
        rows.append(
            [
                *(str(row[name]) for name in text),
                *spans,
                *("" if row[name] != row[name] else f"{row[name]:.3g}" for name in others),
            ]
        )
    show.table(title, (*text, *names, *others), rows)
