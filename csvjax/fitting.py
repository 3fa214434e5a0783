"""The verb `csvjax.fit`: the law fitted to a dataset by any method of inference."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import jax
import numpy as np
from jaxtyping import Bool

from csvjax.cluster import Where
from csvjax.data.dataset import Dataset
from csvjax.errors import FitWarning, InputError
from csvjax.infer import Laplace, Map, Method, Nuts
from csvjax.infer.align import in_one_order
from csvjax.infer.api import fit as fit_density
from csvjax.infer.outliers import Cleaned, fit_without_outliers
from csvjax.infer.svi import mean_field
from csvjax.law.density import law_density
from csvjax.law.evidence import FREE_UNITS, make_evidence
from csvjax.law.model import MANY_UNITS, Effect, Evidence, Law, Priors
from csvjax.names import some
from csvjax.precision import float64
from csvjax.result.guard import check_fit
from csvjax.result.result import Result, outlier_note

__all__ = ["default_law", "default_method", "fit"]

_EFFECTS: tuple[Effect, ...] = ("family", "run")
_SMALL = 300  # scores
_MANY = 40  # benchmarks, of seven parameters each: about as many as `Map.curved`


@float64
def fit(
    data: Dataset,
    law: Law | None = None,
    *,
    method: Method | None = None,
    seen: Bool[np.ndarray, "lm benchmark"] | None = None,
    seed: int = 0,
    chains: Path | None = None,
    where: Where | None = None,
) -> Result:
    """Fit the law to the scores of a dataset. Scores that `seen` leaves out have no influence.

    Args:
        data: models with scores, and whatever is known of their losses, compute and families.
        law: the law. Default: `default_law(data)`.
        method: `csvjax.Map`, `Laplace`, `Svi` or `Nuts`. Default: `default_method` of the scores.
        seen: the scores to fit. Default: all known scores.
        seed: seed of all random numbers.
        chains: folder where NUTS keeps its chains; the same call resumes them.
        where: where each chain of NUTS runs as a job (`csvjax.cluster.Where`); None for this process.

    Returns: a `Result` with the status of the fit, labelled draws, salience, and everything that `predict` needs.

    Warns: FitWarning if the fit did not converge, if it is worse than a plain least-squares fit on its own rows, and if
    models were left out.

    Raises: InputError for a dataset without scores, and for covariates that are unknown or do not vary.
    """
    if data.scores is None:
        raise InputError("expected a dataset with scores, found one without; pass scores to align")
    law = default_law(data) if law is None else law
    mask = np.isfinite(data.scores.score) if seen is None else seen
    method = default_method(data, mask)[0] if method is None else method
    evidence, known = make_evidence(data, mask, law, seed)
    density = law_density(law)
    key = jax.random.key(seed)

    def checked(cleaned: Cleaned) -> Result:
        found, fitted = cleaned.fit, cleaned.evidence
        if isinstance(method, Nuts) and law.capabilities > 1:
            found = in_one_order(found, method, density, fitted)
        left_out = np.asarray(evidence.seen) & ~np.asarray(fitted.seen)
        result = Result(law, data, fitted, known, found.name, found.x, found.status, found.diagnostics, left_out, seed)
        return result.with_status(check_fit(result))

    with warnings.catch_warnings(), _place_of(method, chains) as folder:
        warnings.simplefilter("ignore", FitWarning)  # reported below, after the chains are brought into one order
        cleaned = fit_without_outliers(density, evidence, method, key, folder, law, where)
        result = checked(cleaned)
        if isinstance(method, Nuts) and method.longer and not result.status.ok:
            more = replace(method, draws=method.draws * (1 + method.longer))
            longer = fit_density(density, cleaned.evidence, more, key, folder, cleaned.fit.optimum, where)
            cleaned = cleaned._replace(fit=longer)
            result = checked(cleaned)
    if flat := _constant(result.evidence, result.benchmarks):
        warnings.warn(
            f"all scores of {some(flat)} are equal, so the fit cannot say what would change them",
            FitWarning,
            stacklevel=3,
        )
    if cleaned.refused:
        warnings.warn(cleaned.refused, FitWarning, stacklevel=3)
    if not result.status.ok:
        warnings.warn(f"{result.method}: {result.status}", FitWarning, stacklevel=3)
    if result.outliers:
        warnings.warn(outlier_note(result.outliers), FitWarning, stacklevel=3)
    return result


@contextmanager
def _place_of(method: Method, chains: Path | None) -> Iterator[Path | None]:
    """Where chains are kept that may be drawn longer."""
    if chains is None and isinstance(method, Nuts) and method.longer:
        with TemporaryDirectory() as folder:
            yield Path(folder)
    else:
        yield chains


def default_method(
    data: Dataset, seen: Bool[np.ndarray, "lm benchmark"], search: Map | None = None
) -> tuple[Method, str]:
    """The inference method for a table of this size, and the reason in words.

    Up to 300 scores: NUTS, because the posterior of a small table is often far from normal (above all if no score is
    near the ceiling), and the chains take about a minute. More scores, or texts of more than 64 units, whose salience
    has hundreds of parameters: Laplace's approximation. More than 300 scores of more than 40 benchmarks, each of which
    has seven parameters: mean-field variational inference (`csvjax.infer.svi.approximation`).
    """
    search = Map() if search is None else search
    if data.losses is not None and len(data.losses.units) > FREE_UNITS:
        return Laplace(map=search), f"salience of {len(data.losses.units):,} units has too many parameters for NUTS"
    assert data.scores is not None
    shown = np.where(seen, data.scores.score, np.nan)
    scores = int(np.isfinite(shown).sum())
    if not any(np.ptp(column[np.isfinite(column)]) > 0 for column in shown.T if np.isfinite(column).any()):
        return Laplace(map=search), "no score varies, so chains would only sample the prior"
    if scores > _SMALL and len(data.scores.benchmarks) > _MANY:
        why = f"{len(data.scores.benchmarks)} benchmarks have too many parameters for NUTS and for Laplace"
        return mean_field(1000, search), why
    if scores > _SMALL:
        return Laplace(map=search), f"NUTS is slow for more than {_SMALL} scores, and there are {scores:,}"
    chains = Nuts(warmup=200, draws=250, block=450, target=0.9, rhat=1.1, ess=10, longer=1, map=search)
    return chains, f"{scores:,} scores are few enough for NUTS, which makes no approximation"


def _constant(e: Evidence, benchmarks: Sequence[str]) -> list[str]:
    """Benchmarks of which three or more scores were fitted, all the same."""
    score, seen = np.asarray(e.score), np.asarray(e.seen)
    return [name for b, name in enumerate(benchmarks) if seen[:, b].sum() >= 3 and np.ptp(score[seen[:, b], b]) == 0]


def default_law(data: Dataset) -> Law:
    """The law that `fit` uses by default.

    It has two capabilities (one for a single benchmark), compute as the covariate (or size if no compute is known), and
    effects of families and runs if models share one. With more than 64 units of text, the prior of the strength of the
    salience is `MANY_UNITS`.
    """
    assert data.scores is not None
    covariates = tuple(name for name in ("flops", "params") if data.lms[name].nunique() > 1)[:1]
    shares = {"family": bool(data.lms["family"].duplicated().any())}
    shares["run"] = "run" in data.lms.columns and bool(data.lms["run"].dropna().duplicated().any())
    many = data.losses is not None and len(data.losses.units) > FREE_UNITS
    return Law(
        priors=Priors(strength=MANY_UNITS) if many else Priors(),
        capabilities=min(2, len(data.scores.benchmarks)),
        covariates=covariates,
        effects=tuple(name for name in _EFFECTS if shares[name]),
    )
