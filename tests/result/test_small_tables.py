"""Small tables whose right predictions can be said beforehand, and which fits once predicted wrong without a word."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import csvjax
from csvjax.data.dataset import Dataset
from csvjax.data.losses import LossTable
from csvjax.data.scores import ScoreTable
from csvjax.errors import FitWarning
from tests.result.conftest import frame

FLOPS = np.logspace(20, 23, 8)
PLACE = np.linspace(-1.5, 1.5, 8)


def table(columns: dict[str, np.ndarray], floor: float = np.nan) -> Dataset:
    """Eight models of two families with known compute; floors are unknown unless given."""
    names = [f"m{i}" for i in range(len(FLOPS))]
    floors = np.full(len(columns), floor)
    scores = ScoreTable(tuple(names), tuple(columns), np.column_stack(list(columns.values())), floor=floors)
    return Dataset(frame(names, ["F", "G"] * 4, FLOPS), scores)


def predicted(fit: csvjax.Result) -> pd.DataFrame:
    """What the fit says of the scores that it has not seen, with 90 % intervals of an observation."""
    return csvjax.predict(fit).table().set_index(["lm", "benchmark"])


def test_scores_that_are_all_equal_are_predicted_as_that_score() -> None:
    data = table({name: np.full(8, 0.5) for name in "xyz"})
    seen = np.ones((8, 3), bool)
    seen[6:] = False
    with pytest.warns(FitWarning, match="are equal, so the fit cannot say what would change them"):
        fit = csvjax.fit(data, seen=seen)
    assert fit.status.ok, fit.status
    assert "the same score expected of every model" in " ".join(fit.assumed)
    found = predicted(fit)
    np.testing.assert_allclose(found["median"], 0.5, atol=0.01)
    assert (found["upper90"] - found["lower90"] < 0.1).all()


def test_scores_that_are_all_at_the_floor_say_little_of_larger_models() -> None:
    """A task that no model can do yet may emerge: unlike equal scores in the middle, zeros are no constant."""
    data = table({"solved": expit(PLACE), "easy": expit(PLACE + 1), "unsolved": np.zeros(8)}, floor=0.0)
    with pytest.warns(FitWarning, match="are equal"):
        fit = csvjax.fit(data, method=csvjax.Laplace())
    assert "the same score" not in " ".join(fit.assumed)
    loading = fit.posterior["posterior"]["loading"].sel(benchmark="unsolved", capability="general")
    assert (loading > 0).all()


@pytest.mark.parametrize(
    "method", [csvjax.Laplace(), pytest.param(None, marks=pytest.mark.slow)], ids=["laplace", "nuts"]
)
def test_a_benchmark_at_chance_is_not_predicted_below_it(method: csvjax.Laplace | None) -> None:
    """Guessing with one in four beside two benchmarks that rise with compute."""
    rng = np.random.default_rng(0)
    guessed = rng.binomial(14_000, 0.25, 8) / 14_000
    data = table({"mmlu": guessed, "arc_e": 0.25 + 0.75 * expit(PLACE), "piqa": 0.5 + 0.5 * expit(PLACE)})
    seen = np.ones((8, 3), bool)
    seen[6:, 0] = False
    fit = csvjax.fit(data, seen=seen, method=method)
    assert "mmlu 0.25" in " ".join(fit.assumed)
    found = predicted(fit).xs("mmlu", level="benchmark")
    assert found["median"].between(0.24, 0.28).all()
    assert (found["lower90"] < 0.252).all()
    assert (found["upper90"] > 0.248).all()


@pytest.mark.parametrize("families", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_a_clean_rise_goes_on(families: int) -> None:
    """A sigmoid of log compute without noise: the two largest of eight models from the six others."""
    data = table({"x": expit(PLACE), "y": expit(0.7 * PLACE + 0.5), "z": expit(1.2 * PLACE - 0.8)})
    if families == 1:
        data = Dataset(data.lms.assign(family="F"), data.scores)
    assert data.scores is not None
    seen = np.ones((8, 3), bool)
    seen[6:] = False
    found = predicted(csvjax.fit(data, seen=seen))
    median, truth = found["median"].to_numpy(), data.scores.score[6:].T.ravel()
    assert np.abs(median - truth).max() < 0.1
    assert (median > data.scores.score[5].repeat(2)).all()
    assert ((found["lower90"] <= truth) & (truth <= found["upper90"])).all()


def test_scores_below_a_floor_that_was_given_are_predicted_where_they_are() -> None:
    """Normalised accuracies of small models lie below chance: the floor is told as contradicted, and not believed."""
    rng = np.random.default_rng(1)
    names = [f"{f}{i}" for f in "abcdef" for i in range(6)]
    skill = np.tile(np.linspace(-1, 1, 6), 6) + rng.normal(0, 0.1, 36)
    low = 0.19 + 0.08 * expit(2 * skill) + rng.normal(0, 0.004, 36)
    score = np.column_stack([low, 0.25 + 0.6 * expit(1.5 * skill)])
    loss = (3.0 - 0.1 * skill)[:, None] + rng.normal(0, 0.02, (36, 4))
    units = pd.DataFrame(
        {"token": list("abcd"), "document": "d", "domain": list("abcd"), "start": range(4), "bytes": 1}
    )
    scores = ScoreTable(tuple(names), ("below", "above"), score, floor=np.full(2, 0.25))
    models = frame(names, [name[0] for name in names], np.full(36, np.nan))
    data = Dataset(models, scores, LossTable(tuple(names), loss, units))
    held = models["family"].isin(["c", "e"]).to_numpy()
    fit = csvjax.fit(data, seen=np.repeat(~held[:, None], 2, axis=1), method=csvjax.Laplace())
    assert "scores of below lie below the given floor 0.25" in " ".join(fit.assumed)
    found, truth = predicted(fit).xs("below", level="benchmark"), low[held]
    assert np.abs(found["median"] - truth).max() < 0.04
    assert ((found["lower90"] <= truth) & (truth <= found["upper90"])).sum() >= 10  # of 12; fewer in 1 % with 90 % each
