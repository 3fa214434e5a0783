"""`csvjax predict`: predictions of a fit for scores that it has not seen, for new models, or for a target compute."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from csvjax.cli import show
from csvjax.cli.inputs import Memory, Seed, draws_at_once
from csvjax.cli.output import check_table_path, predictions, with_json, write_table
from csvjax.cli.source import OUTPUT_PANEL
from csvjax.cli.values import size_in_bytes
from csvjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from csvjax.data.dataset import Dataset
    from csvjax.result.result import Result

__all__ = ["predict"]

# With these options of the fit, and those on columns and units, tables of new models are read too.
_READ_ALIKE = ("metric", "decimal", "registry", "models")
_TARGET, _TABLES = "A model that does not exist yet", "New models from tables"


def _option(help: str, metavar: str, panel: str) -> Any:
    return typer.Option(metavar=metavar, show_default=False, help=help, rich_help_panel=panel)


@dataclass(frozen=True)
class _Question:
    """The options that say what to predict; None where an option was not given."""

    losses: Path | None
    lms: Path | None
    scores: Path | None
    flops: float | None
    params: float | None
    tokens: float | None
    family: str | None
    reach: list[str] | None
    kind: Literal["equal-tailed", "highest-density"]
    seed: int

    @property
    def tables(self) -> list[str]:
        return [f"--{name}" for name in ("scores", "losses", "lms") if getattr(self, name)]

    @property
    def described(self) -> list[str]:
        return [f"--{name}" for name in ("flops", "params", "tokens", "family", "reach") if getattr(self, name)]

    @property
    def amounts(self) -> dict[str, float]:
        found = {"flops": self.flops, "params": self.params, "tokens": self.tokens}
        return {name: value for name, value in found.items() if value is not None}


@with_json
def predict(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", show_default=False, help="Folder or address of a run of csvjax fit or evaluate."),
    ],
    flops: Annotated[float | None, _option("Training compute in FLOP. Example: 1e25.", "NUMBER", _TARGET)] = None,
    params: Annotated[
        float | None, _option("Number of parameters, if it is a covariate of the fit. Example: 7e9.", "NUMBER", _TARGET)
    ] = None,
    tokens: Annotated[
        float | None,
        _option("Number of training tokens, if it is a covariate of the fit. Example: 2e12.", "NUMBER", _TARGET),
    ] = None,
    family: Annotated[
        str | None,
        _option("Family of the model, one of the fit. Default: a new family. Example: Llama-2.", "NAME", _TARGET),
    ] = None,
    reach: Annotated[
        list[str] | None,
        _option(
            "Print the training compute at which the mean score reaches this value. Example: GSM8K=0.8.",
            "NAME=SCORE",
            _TARGET,
        ),
    ] = None,
    losses: Annotated[
        Path | None,
        _option("Losses of the new models, on the text of the fit. Example: new-losses.csv.", "PATH", _TABLES),
    ] = None,
    lms: Annotated[
        Path | None,
        _option(
            "Table with what is known of the new models: lm, family, flops, ... Example: new-models.csv.",
            "TABLE",
            _TABLES,
        ),
    ] = None,
    scores: Annotated[
        Path | None,
        _option("Scores of the new models that are already known. Example: new-scores.csv.", "TABLE", _TABLES),
    ] = None,
    interval: Annotated[
        Literal["equal-tailed", "highest-density"],
        _option(
            "equal-tailed (5 % on each side) or highest-density (the shortest). Default: equal-tailed.",
            "KIND",
            OUTPUT_PANEL,
        ),
    ] = "equal-tailed",
    out: Annotated[
        Path | None,
        _option(
            "Write the predictions to a .csv, .json or .parquet file. Example: predictions.csv.", "FILE", OUTPUT_PANEL
        ),
    ] = None,
    memory: Memory = None,
    seed: Seed = 0,
) -> dict[str, Any]:
    """Predict scores that a fit has not seen, scores of new models, or scores at a target compute.

    Without options, all blank and held-out scores of the fit are predicted.

    Each prediction has two 90 % intervals:
    - of the mean score: where the average of many such models lies;
    - of a new observation: where one measured score lies, which also depends on
      differences between single models and on the finite number of test items.

    Example: csvjax predict runs/mine --flops 1e26 --family Llama-2
    """
    from csvjax.memory import drawing
    from csvjax.object_runs import local_run
    from csvjax.result.files import load

    question = _Question(losses, lms, scores, flops, params, tokens, family, reach, interval, seed)
    if out is not None:
        check_table_path(out)
    if reach and out is not None:
        raise InputError("--out cannot be used with --reach, which prints a sentence, not a table; use --json")
    if question.tables and question.described:
        raise InputError(
            f"{' and '.join(question.tables)} cannot be used with {' and '.join(question.described)}; run the command "
            f"once for the models of the tables and once for the model that does not exist yet"
        )
    if family is not None and not question.amounts and not reach:
        raise InputError("--family needs --flops, --params, --tokens or --reach, found none of them; add one")
    limit = size_in_bytes(memory)
    with local_run(run) as place:
        fit = load(place)
        answer: dict[str, Any] = {"interval": interval}
        with drawing(draws_at_once(limit, len(fit.draws()), fit.dataset)):
            if reach:
                answer["reach"] = [_say_reach(fit, text, question) for text in reach]
            found = _answer(fit, place, question)
    if found is not None:
        _told(found, out, f"scores that the fit has not seen, {interval} intervals")
        answer["predictions"] = predictions(found)
    return answer


def _answer(fit: Result, run: Path, question: _Question) -> pd.DataFrame | None:
    """The table of predictions that the options ask for; None if they ask only for the compute that reaches a score."""
    if question.tables:
        return _new(fit, run, question)
    if question.amounts and not (question.reach and "flops" not in question.amounts):
        from csvjax.target import predict_target

        return predict_target(fit, question.amounts, question.family, question.seed, question.kind)
    return None if question.reach else _unseen(fit, run, question)


def _unseen(fit: Result, run: Path, question: _Question) -> pd.DataFrame:
    from csvjax.prediction import unseen

    found = unseen(fit, question.seed, question.kind)
    if targets := _config(run).get("targets"):
        found = found[found["benchmark"].isin(targets)].reset_index(drop=True)
    if found.empty:
        raise InputError(
            "the fit has seen every score of its table, so there is nothing to predict; describe new models "
            "with --scores, --lms or --losses, or a target compute with --flops"
        )
    return found


def _new(fit: Result, run: Path, question: _Question) -> pd.DataFrame:
    from csvjax.data.dataset import align
    from csvjax.data.files import read_lms
    from csvjax.data.read_losses import read_losses
    from csvjax.prediction import new_table

    told = None if question.lms is None else read_lms(question.lms)
    table = None
    if question.scores is not None:
        read = _read_like_the_fit(fit, run, question.scores)
        table, told = read.scores, read.lms if told is None else told
    found = None if question.losses is None else read_losses(question.losses)
    return new_table(fit, align(told, table, found), seed=question.seed, kind=question.kind)


def _config(run: Path) -> dict[str, Any]:
    """The configuration of the run; empty for a fit that was saved from Python."""
    from csvjax import runs

    return runs.read_config(run) if (run / "config.json").is_file() else {}


def _read_like_the_fit(fit: Result, run: Path, path: Path) -> Dataset:
    """Scores of new models, read with the column names and units of the options of the fit."""
    from dataclasses import fields

    from csvjax import names
    from csvjax.cli.inputs import read_score_table, with_columns
    from csvjax.cli.source import Source
    from csvjax.cli.values import listed
    from csvjax.data.columns import spelled_as
    from csvjax.data.raw import read_raw
    from csvjax.data.rules import names_from

    raw = read_raw(path)
    wanted = None
    if spelled_as(raw, "benchmark") is None or spelled_as(raw, "score") is None:
        wanted = [name for name in fit.benchmarks if name in raw.columns]
        if not wanted:
            raise InputError(
                f"expected columns with the names of benchmarks of the fit ({names.some(fit.benchmarks)}) in {path}, "
                f"found none; rename the columns, or describe the models with --lms"
            )
    known = {field.name for field in fields(Source)}
    given = {name: value for name, value in _config(run).get("options", {}).items() if name in known}
    said = {name: value for name, value in given.items() if name.endswith(("_column", "_unit")) or name in _READ_ALIKE}
    ignored = names_from(listed(given.get("ignore")), raw.columns)
    said["ignore"] = [name for name in ignored if name in raw.columns]
    said |= {name: Path(said[name]) for name in ("registry", "models") if name in said}
    benchmark = spelled_as(raw, "benchmark")
    there = wanted if wanted is not None or benchmark is None else sorted(set(raw.text(benchmark)))
    said["score_unit"] = _units_of(fit, said.get("score_unit"), there)
    source = Source(scores=[path], **said)
    columns = [base.column for base in fit.known.columns.bases.values()]
    return with_columns(
        read_score_table(source, path, wanted), source, [f"leave-one-out:{name}" for name in [*columns, "run"]]
    )


def _units_of(fit: Result, given: list[str] | str | None, there: list[str] | None) -> list[str] | None:
    """The unit options of the fit for a new table: those of the benchmarks that it has, and that of all.

    Scores without bounds have the unit that they have in the fit, whatever told it then.
    """
    from csvjax.cli.values import listed

    assert fit.dataset.scores is not None
    here = set(fit.benchmarks if there is None else there)
    pairs = [text.rpartition("=") for text in listed(given)]
    found = {column: unit for column, sign, unit in pairs if not sign or column in here}
    scales = zip(fit.benchmarks, fit.dataset.scores.scales, strict=True)
    found |= {name: scale.code for name, scale in scales if name in here and not scale.bounded}
    return [f"{column}={unit}" if column else unit for column, unit in found.items()] or None


def _say_reach(fit: Result, text: str, question: _Question) -> dict[str, Any]:
    from csvjax.cli.inputs import by_name
    from csvjax.target import reach

    ((benchmark, score),) = by_name([text], "--reach", "BENCHMARK=SCORE").items()
    others = {name: value for name, value in question.amounts.items() if name != "flops"}
    found = reach(fit, benchmark, score, question.family, others, question.seed, question.kind)
    typer.echo(str(found))
    lower, upper = found.interval
    asked = {"benchmark": benchmark, "score": score, "family": found.family, "sentence": str(found)}
    return {**asked, "flops": found.median, "lower90": lower, "upper90": upper, "never": found.never}


def _told(found: pd.DataFrame, out: Path | None, title: str) -> None:
    """Print the predictions, or write them to a file."""
    if out is None:
        show.prediction_table(found, title)
        return
    write_table(predictions(found), out)
    typer.echo(f"{len(found)} predictions: {out}")
