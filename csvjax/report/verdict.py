"""The first sentences of the page: what predicts the scores, how well, and what to distrust."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from csvjax import names
from csvjax.evaluate.table import of_one_unit
from csvjax.plot.curves import scale_of
from csvjax.report.read import Run
from csvjax.report.words import amount, law_label, laws_of, split_label
from csvjax.result.result import Result
from csvjax.result.tables import chain_notes, promise

__all__ = ["Answer", "verdict"]

_FEW = 8  # models
_FAR = 10.0  # times the largest fitted model
_COLUMNS = {"flops": "training compute", "params": "the number of parameters", "tokens": "the number of tokens"}
_WORDS = {"flops": "compute", "params": "parameters", "tokens": "tokens"}
_METHODS = {
    "laplace": "a Laplace approximation",
    "nuts": "NUTS",
    "map": "the posterior mode",
    "svi": "variational inference",
}


@dataclass(frozen=True)
class Answer:
    """A question with one or several sentences as its answer."""

    question: str
    sentences: tuple[str, ...]


def verdict(run: Run) -> list[Answer]:
    """Four answers in plain words."""
    return [
        Answer("What predicts the scores?", (_sources(run),)),
        Answer("How well?", _errors(run)),
        Answer("Are the intervals calibrated?", (promise(_first(run)),)),
        Answer("What should you distrust?", tuple(_doubts(run)) or ("There is no warning for this run.",)),
    ]


def _first(run: Run) -> pd.DataFrame:
    """Held-out scores of the first split with the predictions of the last law."""
    held = run.held
    if held.empty:
        return held
    law = laws_of(run)[-1]
    return held[(held["split"] == held["split"].iloc[0]) & (held["law"] == law)]


def _sources(run: Run) -> str:
    fit = run.fit
    if fit is None:
        p = run.predictions
        return (
            f"The run predicts {p['benchmark'].nunique()} benchmarks of {p['lm'].nunique()} models of "
            f"{p['family'].nunique()} families."
        )
    law, what = fit.law, []
    if fit.known.columns.names:
        columns = [str(base.column) for base in fit.known.columns.bases.values()]
        what += [_COLUMNS.get(name, f"the column {name}") for name in columns]
    if fit.known.units is not None:
        alike = law.priors.strength <= 0
        what.append("the mean loss" if alike else "the losses of tokens, weighted by their salience for each benchmark")
    what += [f"what models of one {name} have in common" for name in law.effects]
    if law.capabilities:
        what.append(f"{law.capabilities} capabilit{'y' if law.capabilities == 1 else 'ies'} that benchmarks share")
    seen = np.asarray(fit.evidence.seen)
    how = _METHODS.get(fit.method, fit.method)
    return _capital(
        f"{_listed(what) or 'only the scores'}. The law was fitted to {int(seen.sum())} scores of "
        f"{int(seen.any(axis=1).sum())} models on {len(fit.benchmarks)} benchmarks, by {how}."
    )


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _errors(run: Run) -> tuple[str, ...]:
    held = run.held
    if held.empty:
        return (
            "No score was held out, so this run cannot say. Hide some known scores with csvjax fit --holdout or csvjax "
            "evaluate.",
        )
    found = []
    held = of_one_unit(held)
    for split, cells in held.groupby("split", sort=False):
        by_law = {law: _median_error(rows) for law, rows in cells.groupby("law", sort=False)}
        laws = [law for law in laws_of(run) if law in by_law]
        text = f"{split_label(str(split))}: half of the {len(cells) // len(laws)} held-out scores were predicted to "
        text += f"within {amount(by_law[laws[-1]], held)}"
        if len(laws) > 1:
            text += f" ({', '.join(f'{law_label(law)}: {amount(by_law[law], held)}' for law in laws[:-1])})"
        found.append(_capital(text) + ".")
    first = of_one_unit(_first(run))
    each = pd.Series({str(name): _median_error(cells) for name, cells in first.groupby("benchmark", sort=False)})
    if len(each) > 1:
        found.append(
            f"Best predicted: {each.idxmin()} ({amount(each.min(), held)}); worst: {each.idxmax()} "
            f"({amount(each.max(), held)})."
        )
    return tuple(found)


def _median_error(cells: pd.DataFrame) -> float:
    return float((cells["observed"] - cells.get("median", cells["mean"])).abs().median())


def _doubts(run: Run) -> list[str]:
    found = []
    if run.choices is not None and len(bad := run.choices[~run.choices["converged"].astype(bool)]):
        found.append(f"{len(bad)} of {len(run.choices)} fits did not converge; the first one: {bad['status'].iloc[0]}.")
    found += _no_better(run)
    if run.fit is None:
        return found
    fit = run.fit
    if not fit.status.ok:
        found.append(f"The fit itself: {fit.status}.")
    if run.convergence is not None:
        found += chain_notes(run.convergence)
    if fit.outliers:
        found.append(
            f"These models are left out because the law cannot explain their scores: {names.some(fit.outliers)}."
        )
    seen = np.asarray(fit.evidence.seen)
    if (count := int(seen.any(axis=1).sum())) < _FEW:
        found.append(f"Only {count} models were fitted, so the intervals depend much on the prior.")
    found += _far(fit, seen)
    if fit.assumed:
        found.append("Some chance levels are not in the table and were assumed or inferred; see the settings below.")
    return found


def _no_better(run: Run) -> list[str]:
    """Splits in which salience predicts no better than the mean loss."""
    laws = laws_of(run)
    if len(laws) < 2 or laws[0] != "mean_loss":
        return []
    found = []
    for split, cells in run.held.groupby("split", sort=False):
        mean, weighted = (_median_error(cells[cells["law"] == law]) for law in (laws[0], laws[-1]))
        if weighted >= mean:
            found.append(split_label(str(split)))
    return (
        [f"The mean loss predicts at least as well as {law_label(laws[-1])} for: {'; '.join(found)}."] if found else []
    )


def _far(fit: Result, seen: np.ndarray) -> list[str]:
    """A warning if predicted models are far beyond the fitted ones."""
    scale = scale_of(fit)
    if scale is None:
        return []
    values = fit.dataset.lms[scale.column].to_numpy(float)
    fitted, asked = values[seen.any(axis=1)], values[~seen.all(axis=1)]
    if not (np.isfinite(fitted).any() and np.isfinite(asked).any()):
        return []
    times = np.nanmax(asked) / np.nanmax(fitted)
    if times < _FAR:
        return []
    return [
        f"The largest predicted model has {times:.0f} times the {_WORDS[scale.column]} of the largest fitted one, so "
        f"its intervals depend on the form of the law."
    ]
