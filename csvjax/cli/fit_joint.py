"""`csvjax fit --law joint`: compute, losses and scores of all models in one density, by any method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from csvjax.cli import inputs, show
from csvjax.errors import FitWarning, InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from csvjax.data.dataset import Dataset
    from csvjax.infer import Method
    from csvjax.joint.choose import Choice
    from csvjax.laws.fit_joint import JointSettings
    from csvjax.laws.joint_model import JointPriors

__all__ = ["JointOptions", "fit_joint_law", "method_of", "seen_cells"]

_MOST = 4  # capabilities that `auto` tries
_NO_LOSS = {"mean_loss": float("nan"), "salient_loss": float("nan")}  # columns that a report asks for
_METHODS = ("map", "laplace", "svi", "nuts")


@dataclass(frozen=True)
class JointOptions:
    """The options of `csvjax fit` that only the joint law has; None where not given."""

    targets: str | None
    capabilities: str | None
    covariates: str | None
    method: str | None
    chains: Path | None
    prior: list[str] | None
    keep_outliers: bool | None

    @property
    def given(self) -> list[str]:
        return [f"--{name.replace('_', '-')}" for name in self.__dataclass_fields__ if getattr(self, name) is not None]


def fit_joint_law(
    out: Path,
    source: inputs.Source,
    options: JointOptions,
    holdout: Sequence[str],
    inner: str | None,
    quick: bool,
    seed: int,
) -> None:
    """Fit, predict what was held out, and write the run; see `csvjax fit`."""
    import warnings

    from csvjax import runs
    from csvjax.joint.files import save_fit
    from csvjax.joint.posterior import convergence, joint_draws
    from csvjax.joint.predict import unseen
    from csvjax.laws.fit_joint import fit_joint

    method = method_of(options.method or "laplace", quick)
    if options.chains is not None and options.method != "nuts":
        raise InputError("expected --chains with --method nuts alone, found another method; leave --chains out")
    runs.check_out(out)
    dataset = inputs.with_columns(inputs.read_source(source, with_losses=False), source, holdout)
    targets = _targets(dataset, options.targets)
    seen = seen_cells(dataset, holdout, targets)
    wanted = _names(dataset, targets)
    settings, automatic = _settings(dataset, options)
    if inner is not None and not automatic:
        raise InputError("expected --inner with --capabilities auto alone, found a number; leave one of them out")
    config = {
        "dataset": source.name,
        "command": "fit",
        "law": "joint",
        "options": source.given,
        "models": len(dataset.lms),
        "fitted models": int(seen.any(axis=1).sum()),
        "fitted scores": int(seen.sum()),
        "targets": wanted if options.targets else None,
        "splits": list(holdout),
        "inner": inner,
        "method": method,
        "seed": seed,
    }
    with runs.begin(out, config) as run, show.steps() as begin:
        chosen = _choose(dataset, seen, settings, inner, targets, seed, begin) if automatic else None
        settings = chosen.settings if chosen else settings
        tell = begin(3)
        tell(
            f"fitting {int(seen.sum())} scores of {int(seen.any(axis=1).sum())} models by {options.method or 'laplace'}"
        )
        found = fit_joint(dataset, seen, settings, method, seed, options.chains)
        tell("drawing capabilities")
        draws = joint_draws(found, seed)
        save_fit(found, draws, run.folder)
        tell("predicting")
        cells = unseen(found, seed)
        cells = cells[cells["benchmark"].isin(wanted)]
        cells = cells.assign(split=" and ".join(holdout) or "no score", law="joint", **_NO_LOSS).reset_index(drop=True)
        if len(cells):
            run.write(cells, _figures(cells))
        if chosen:
            chosen.table.to_csv(run.folder / "choice.csv", index=False, lineterminator="\n")
        fitted = found.evidence.seen
        counts = {"fitted models": int(fitted.any(axis=1).sum()), "fitted scores": int(fitted.sum())}
        run.write_config(settings=settings, status=str(found.status), outliers=list(found.outliers), **counts)
        table = convergence(found, draws)
    typer.echo(str(found.status))
    worst = table.loc[table["quantity"] != "parameters", "rhat"].max() if len(table) else 1.0
    if worst > 1.01:
        warnings.warn(
            f"the chains do not agree on capabilities, loadings or logits: largest r-hat {worst:.3f}, which should be "
            f"at most 1.01; draw longer",
            FitWarning,
            stacklevel=1,
        )
    if chosen:
        _show_choice(chosen, inner)
    if len(cells):
        show.prediction_table(cells, "scores that the fit has not seen")
    typer.echo(f"run: {out}")


def method_of(name: str, quick: bool) -> Method:
    """The method of this name with its default settings, or those for a first look.

    Raises: InputError for another name.
    """
    from csvjax.infer import Laplace, Map, Nuts, Svi
    from csvjax.names import hint

    search = Map(starts=1) if quick else Map()
    if name == "map":
        return search
    if name == "laplace":
        return Laplace(draws=400 if quick else 1000, map=search)
    if name == "svi":
        return Svi(steps=500, draws=400, map=search) if quick else Svi(map=search)
    if name == "nuts":
        return Nuts(warmup=150, draws=150, chains=2, map=search) if quick else Nuts(map=search)
    raise InputError(f"expected --method to be one of {', '.join(_METHODS)}, found {name!r}: {hint(name, _METHODS)}")


def _targets(dataset: Dataset, text: str | None) -> np.ndarray:
    """Which benchmarks are to be predicted [benchmark]."""
    import numpy as np

    from csvjax import names

    assert dataset.scores is not None
    chosen = np.ones(len(dataset.scores.benchmarks), bool)
    if text is not None:
        wanted = [name.strip() for name in text.split(",")]
        chosen[:] = False
        chosen[names.positions(wanted, dataset.scores.benchmarks, "benchmark")] = True
    return chosen


def _names(dataset: Dataset, targets: np.ndarray) -> list[str]:
    assert dataset.scores is not None
    return [dataset.scores.benchmarks[b] for b in targets.nonzero()[0]]


def seen_cells(dataset: Dataset, holdout: Sequence[str], targets: np.ndarray) -> np.ndarray:
    """The scores to fit [lm, benchmark]: all but those of the targets of models that a split of `holdout` hides.

    A model of which a split cannot tell, because its column is blank, is hidden too.

    Raises: InputError for splits of several folds, fewer models than three, and benchmarks left without a score.
    """
    import numpy as np

    assert dataset.scores is not None
    hidden = np.zeros(len(dataset.lms), bool)
    for text in holdout:
        hidden |= ~inputs.single_fold(text, dataset, "compare").train
    seen = np.isfinite(dataset.scores.score) & ~(hidden[:, None] & targets)
    if (models := int(seen.any(axis=1).sum())) < 3:
        raise InputError(f"expected three or more models with scores to fit, found {models}; hold out fewer")
    for b in np.flatnonzero(~seen.any(axis=0)):
        raise InputError(
            f"expected scores of the fitted models on every benchmark, found none for "
            f"{dataset.scores.benchmarks[b]!r}; leave it out with --benchmarks, or hold out fewer"
        )
    return seen


def _settings(dataset: Dataset, options: JointOptions) -> tuple[JointSettings, bool]:
    """The settings, and whether their number of capabilities is still to be chosen."""
    from csvjax.laws.fit_joint import JointSettings
    from csvjax.laws.joint_evidence import covariate_scale

    assert dataset.scores is not None
    benchmarks = len(dataset.scores.benchmarks)
    text = (options.capabilities or str(min(2, benchmarks))).strip()
    if text != "auto" and not (text.isdecimal() and 1 <= int(text) <= benchmarks):
        raise InputError(
            f"expected --capabilities auto or a number from 1 to {benchmarks}, the number of benchmarks, found "
            f"{text!r}; choose another"
        )
    if options.covariates is None:
        covariates = tuple(name for name in ("flops", "params") if dataset.lms[name].nunique() > 1)[:1]
    elif options.covariates.strip() == "none":
        covariates = ()
    else:
        covariates = tuple(name.strip() for name in options.covariates.split(","))
    covariate_scale(dataset, covariates)  # says what is wrong before anything is fitted
    families = bool(dataset.lms["family"].duplicated().any())
    count = 1 if text == "auto" else int(text)
    settings = JointSettings(
        capabilities=count, covariates=covariates, families=families, priors=_priors(options.prior)
    )
    return settings._replace(outliers=0.0) if options.keep_outliers else settings, text == "auto"


def _priors(given: list[str] | None) -> JointPriors:
    """The default priors with what was given in place of the default.

    Raises: InputError for a name that is none, and a value that no prior setting can have.
    """
    from csvjax.laws.joint_model import JointPriors
    from csvjax.names import hint

    default = JointPriors()
    chosen = inputs.by_name(given, "--prior", "NAME=NUMBER")
    for name, value in chosen.items():
        if name not in default._fields:
            raise InputError(
                f"expected --prior to name one of {', '.join(default._fields)}, found {name!r}: "
                f"{hint(name, default._fields)}"
            )
        fits = {"intercept_mean": math.isfinite(value), "strength": 0 <= value < math.inf, "ceiling": value > 0}
        if not fits.get(name, 0 < value < math.inf):
            wanted = {"intercept_mean": "finite", "strength": "finite and 0 or more", "ceiling": "above 0"}
            least = wanted.get(name, "finite and above 0")
            raise InputError(f"expected --prior {name} to be a number that is {least}, found {value:g}; give another")
    return default._replace(**chosen)


def _choose(
    dataset: Dataset,
    seen: np.ndarray,
    settings: JointSettings,
    inner: str | None,
    targets: np.ndarray,
    seed: int,
    begin: show.Begin,
) -> Choice:
    import numpy as np

    from csvjax.evaluate import splits
    from csvjax.joint.choose import choose

    train = np.asarray(seen[:, targets].any(axis=1))
    folds = () if inner is None else splits.inner(inner, dataset.lms, train).folds
    most = min(_MOST, seen.shape[1])
    among = [settings._replace(capabilities=k) for k in range(1, most + 1)]
    return choose(dataset, seen, among, folds, targets, seed, begin(most * (1 + len(folds))))


def _show_choice(chosen: Choice, inner: str | None) -> None:
    by = "log score on scores held out inside" if inner else "evidence of the fitted scores"
    rows = [
        (str(k), f"{evidence:.1f}", "" if score != score else f"{score:.3f}", "yes" if ok else "no")
        for k, evidence, score, ok in chosen.table[
            ["capabilities", "log_evidence", "log_score", "converged"]
        ].itertuples(index=False, name=None)
    ]
    show.table(
        f"number of capabilities: {chosen.settings.capabilities}, chosen by the {by}",
        ("capabilities", "log evidence", "log score", "converged"),
        rows,
    )


def _figures(cells: pd.DataFrame) -> dict[str, float]:
    from csvjax.evaluate.table import POOLED, score_table

    if not cells["observed"].notna().any():
        return {}
    metrics = score_table(cells)
    row = metrics[metrics["benchmark"] == POOLED].iloc[0]
    found = {name: float(row[name]) for name in ("mae", "crps")}
    return found | {f"coverage{level}_model": float(row[f"coverage{level}"]) for level in (50, 80, 90)}
