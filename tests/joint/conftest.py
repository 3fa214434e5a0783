"""A small table of scores, and a fit of one capability whose draws are written down rather than searched for."""

from __future__ import annotations

import jax
import numpy as np
import pandas as pd
import pytest
from jax.flatten_util import ravel_pytree
from scipy.special import expit

from csvjax.data.dataset import Dataset
from csvjax.data.scores import ScoreTable
from csvjax.infer.result import Status
from csvjax.laws.fit_joint import FittedJoint, JointSettings, evidence_for
from csvjax.precision import float64

LMS, BENCHMARKS = 15, ("easy", "fair", "hard")
INTERCEPT = np.array([1.0, 0.0, -1.0])
SETTINGS = JointSettings(capabilities=1)


def frame(names: list[str], families: list[str], flops: np.ndarray | list[float]) -> pd.DataFrame:
    unknown = {"params": np.nan, "tokens": np.nan}
    return pd.DataFrame({"family": families, **unknown, "flops": flops}, pd.Index(names, name="lm", dtype=str))


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    """Models of three families whose scores rise with compute, 200 items each."""
    rng = np.random.default_rng(0)
    names = [f"m{i:02d}" for i in range(LMS)]
    capability = np.linspace(-2, 2, LMS)[:, None] + rng.normal(0, 0.2, (LMS, 1))
    score = rng.binomial(200, expit(capability + INTERCEPT)) / 200
    lms = frame(names, [f"f{i % 3}" for i in range(LMS)], 10 ** np.linspace(20, 24, LMS))
    return Dataset(lms, ScoreTable(tuple(names), BENCHMARKS, score, np.full(3, 200.0), np.zeros(3)))


@pytest.fixture(scope="session")
def seen() -> np.ndarray:
    """All but the last two models, and but the hard benchmark of the one before."""
    mask = np.ones((LMS, len(BENCHMARKS)), bool)
    mask[-2:] = False
    mask[-3, 2] = False
    return mask


@float64
def written(dataset: Dataset, seen: np.ndarray, settings: JointSettings = SETTINGS, draws: int = 400) -> FittedJoint:
    """Loadings of 1 logit, intercepts as they are, ceilings near 1; 1.3 logits for a standard deviation of log
    compute.
    """
    evidence, units = evidence_for(dataset, seen, settings)
    rng = np.random.default_rng(1)
    fit = FittedJoint(
        settings,
        dataset,
        evidence,
        units,
        "laplace",
        np.zeros((1, 1, 1)),
        Status(True, "written"),
        {},
        ~evidence.seen & False,
    )
    shapes = jax.eval_shape(lambda: fit.density.sites(jax.random.key(0), evidence))
    sites = {name: np.zeros(shape.shape) for name, shape in shapes.items()}
    first = np.arange(settings.capabilities) == 0
    sites |= {
        "typical_loading": np.asarray(0.0),
        "intercept": INTERCEPT,
        "typical_spread": np.log(np.asarray(0.2)),
        "family_spread": np.full(settings.capabilities, np.log(0.3)),
        "habit_spread": np.log(np.asarray(0.2)),
    }
    if "room" in sites:
        sites["room"] = np.full_like(sites["room"], 6.0)
    if "gain" in sites:
        sites["gain"] = np.where(first, 1.3, 0.0) * np.ones_like(sites["gain"])
    flat = np.asarray(ravel_pytree(sites)[0])
    x = flat + 0.05 * rng.standard_normal((1, draws, len(flat)))
    return FittedJoint(
        settings, dataset, evidence, units, "laplace", x, fit.status, {"potential": np.asarray(1.0)}, fit.left_out
    )


@pytest.fixture(scope="session")
def fit(dataset: Dataset, seen: np.ndarray) -> FittedJoint:
    return written(dataset, seen)
