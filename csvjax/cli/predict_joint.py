"""`csvjax predict` for a run of the joint law: its own cells, new models, a target compute, and the inverse."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from csvjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from csvjax.data.dataset import Dataset
    from csvjax.laws.fit_joint import FittedJoint

__all__ = ["JointQuestion", "predict_joint_run"]


@dataclass(frozen=True)
class JointQuestion:
    """The options of `csvjax predict` that only a run of the joint law has; None where not given."""

    scores: Path | None
    flops: float | None
    params: float | None
    tokens: float | None
    family: str | None
    reach: list[str] | None
    interval: Literal["equal-tailed", "highest-density"] | None

    @property
    def given(self) -> list[str]:
        return [f"--{name}" for name in self.__dataclass_fields__ if getattr(self, name)]

    @property
    def amounts(self) -> dict[str, float]:
        found = {"flops": self.flops, "params": self.params, "tokens": self.tokens}
        return {name: value for name, value in found.items() if value is not None}


def predict_joint_run(
    run: Path, question: JointQuestion, losses: Path | None, lms: Path | None, seed: int
) -> pd.DataFrame:
    """The predictions that the options ask for; what --reach asks is printed first.

    Raises: InputError for options that do not go together, and what the fit does not have.
    """
    from csvjax.joint.files import load_fit

    tables = [f"--{n}" for n, path in (("scores", question.scores), ("losses", losses), ("lms", lms)) if path]
    alone = [name for name in question.given if name not in ("--scores", "--interval")]
    if tables and alone:
        raise InputError(
            f"expected new models from {' and '.join(tables)}, or one that {' and '.join(alone)} describe, found both; "
            f"ask for one after the other"
        )
    if question.family is not None and not question.amounts and not question.reach:
        raise InputError("expected --flops, --params, --tokens or --reach with --family, found none; add one")
    fit = load_fit(run)
    if tables:
        return _new(fit, run, question, losses, lms, seed)
    for text in question.reach or ():
        _say_reach(fit, text, question, seed)
    if question.amounts and not (question.reach and "flops" not in question.amounts):
        from csvjax.joint.target import predict_target

        return predict_target(fit, question.amounts, question.family, seed, question.interval or "equal-tailed")
    return _unseen(fit, run, question, seed)


def _unseen(fit: FittedJoint, run: Path, question: JointQuestion, seed: int) -> pd.DataFrame:
    from csvjax import runs
    from csvjax.joint.predict import unseen

    found = unseen(fit, seed, question.interval or "equal-tailed")
    if targets := runs.read_config(run).get("targets"):
        found = found[found["benchmark"].isin(targets)].reset_index(drop=True)
    if question.reach:
        return found.iloc[:0]
    if found.empty:
        raise InputError(
            f"expected scores that the fit in {run} has not seen, found none; ask for new models with --scores, or for "
            f"a target compute with --flops"
        )
    return found


def _new(
    fit: FittedJoint, run: Path, question: JointQuestion, losses: Path | None, lms: Path | None, seed: int
) -> pd.DataFrame:
    from csvjax.data.files import read_lms
    from csvjax.data.read_losses import read_losses
    from csvjax.joint.predict import predict_lms

    told = None if lms is None else read_lms(lms)
    table = None
    if question.scores is not None:
        read = _read_like_the_fit(fit, run, question.scores)
        table, told = read.scores, read.lms if told is None else told
    found = None if losses is None else read_losses(losses)
    return predict_lms(fit, told, table, found, seed, question.interval or "equal-tailed")


def _read_like_the_fit(fit: FittedJoint, run: Path, path: Path) -> Dataset:
    """Scores of new models, with the names of columns and the units that the table of the fit was read with."""
    from dataclasses import fields

    from csvjax import names, runs
    from csvjax.cli.inputs import Source, read_score_table
    from csvjax.data.columns import spelled_as
    from csvjax.data.raw import read_raw

    raw = read_raw(path)
    wanted = None
    if spelled_as(raw, "benchmark") is None or spelled_as(raw, "score") is None:
        wanted = [name for name in fit.benchmarks if name in raw.columns]
        if not wanted:
            raise InputError(
                f"expected columns named as benchmarks of the fit in {path}, {names.some(fit.benchmarks)}, found none; "
                f"rename them, or give a table of models with --lms"
            )
    blank = dict.fromkeys(field.name for field in fields(Source))
    known = {name: value for name, value in runs.read_config(run).get("options", {}).items() if name in blank}
    said = {name: value for name, value in known.items() if name.endswith(("_column", "_unit"))}
    return read_score_table(Source(**{**blank, "common": False, **said}), path, wanted)


def _say_reach(fit: FittedJoint, text: str, question: JointQuestion, seed: int) -> None:
    from csvjax.cli.inputs import by_name
    from csvjax.joint.target import reach

    ((benchmark, score),) = by_name([text], "--reach", "BENCHMARK=SCORE").items()
    others = {name: value for name, value in question.amounts.items() if name != "flops"}
    kind = question.interval or "equal-tailed"
    typer.echo(str(reach(fit, benchmark, score, question.family, others, seed, kind)))
