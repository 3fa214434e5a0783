"""Which tasks count, and the headline figures, by hand on small tables."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from csvjax import demo
from csvjax.data.dataset import Dataset
from csvjax.data.scores import ScoreTable
from csvjax.errors import InputError
from csvjax.evaluate.crossfit import count_fits, figures_of, laws_beside
from csvjax.evaluate.table import score_table
from csvjax.law.model import Law
from tests import simulated


def with_scores(score: np.ndarray, items: float, floor: float) -> Dataset:
    """24 models with these scores [lm, benchmark]."""
    data = simulated.world(0.0)
    each = np.ones(score.shape[1])
    names = tuple(f"b{b}" for b in range(score.shape[1]))
    return replace(data, scores=ScoreTable(data.measured()[0].lms, names, score, items * each, floor * each))


def test_noise_of_items_is_no_signal_and_neither_is_guessing() -> None:
    rng = np.random.default_rng(1)
    skill = np.linspace(0.25, 0.8, 24)
    guessing = rng.binomial(300, 0.25, 24) / 300
    below = np.linspace(0.0, 0.25, 24)  # varies, but nobody beats a guesser
    data = with_scores(np.stack([skill, guessing, below], axis=1), 300, 0.25)
    assert demo.signal(data) == (("b0",), ("b1", "b2"))


@pytest.mark.parametrize(("share", "counts"), [(0.45, True), (0.55, False)])
def test_a_task_counts_where_less_than_half_of_its_variance_is_noise(share: float, counts: bool) -> None:
    # Half of the models score 0.5 - d and half 0.5 + d: variance d^2, noise about 0.25 / n.
    d = 0.1
    items = round((0.25 - d**2) / (share * d**2))
    score = np.where(np.arange(24) % 2, 0.5 + d, 0.5 - d)[:, None]
    kept, left_out = demo.signal(with_scores(score, items, 0.0))
    assert (kept == ("b0",)) is counts
    assert (left_out == ("b0",)) is not counts


def test_with_items_unknown_a_task_counts_where_it_varies() -> None:
    score = np.stack([np.linspace(0.3, 0.9, 24), np.full(24, 0.2)], axis=1)
    assert demo.signal(with_scores(score, np.nan, 0.25)) == (("b0",), ("b1",))


def predictions(split: str, law: str, error: tuple[float, float], wide: float) -> pd.DataFrame:
    """Two benchmarks of four models with scores 0.2, 0.4, 0.6, 0.8: variance 0.05, so that R2 = 1 - error^2 / 0.05."""
    rows = []
    for benchmark, e in zip(("x", "y"), error, strict=True):
        for i, y in enumerate((0.2, 0.4, 0.6, 0.8)):
            sides = ("lower", -wide), ("upper", wide)
            bounds = {f"{side}{n}": y + e + half for n in (50, 80, 90) for side, half in sides}
            rows.append(
                {"lm": f"m{i}", "benchmark": benchmark, "observed": y, "mean": y + e, "median": y + e, **bounds}
            )
    return pd.DataFrame(rows).assign(split=split, law=law, crps=np.repeat(np.abs(error), 4))


def test_headline_figures_by_hand() -> None:
    kinds = {"mixture": "leave-one-out:family", "size": "weak-to-strong:params"}
    parts = [
        predictions(kinds["mixture"], "mean_loss", (0.2, 0.1), 0.05),
        predictions(kinds["mixture"], "salience", (0.1, 0.12), 0.11),
        predictions(kinds["size"], "mean_loss", (0.3, 0.3), 0.01),
        predictions(kinds["size"], "salience", (0.05, 0.05), 0.1),
    ]
    found = figures_of(score_table(pd.concat(parts, ignore_index=True)), kinds)
    gains = (0.2**2 - 0.1**2) / 0.05, (0.1**2 - 0.12**2) / 0.05
    assert found == pytest.approx(
        {
            "r2_gain": sum(gains) / 2,
            "worst_task_gain": gains[1],
            "coverage90_mixture": 0.5,  # an error of 0.1 lies within 0.11, one of 0.12 does not
            "coverage90_size": 1.0,
            "crps_ratio": (0.1 + 0.12) / (0.2 + 0.1),
        }
    )


def test_a_task_whose_held_out_scores_do_not_differ_has_no_gain() -> None:
    parts = [predictions("leave-one-out:family", law, (0.1, 0.1), 0.1) for law in ("mean_loss", "salience")]
    flat = pd.concat(parts, ignore_index=True).assign(observed=0.5)
    found = figures_of(score_table(flat), {"mixture": "leave-one-out:family"})
    assert math.isnan(found["r2_gain"])
    assert found["crps_ratio"] == 1.0


def test_without_losses_the_headline_is_of_the_law_alone() -> None:
    found = figures_of(score_table(predictions("models:3", "law", (0.1, 0.3), 0.11)), {"models": "models:3"})
    assert found == pytest.approx({"mae": 0.2, "crps": 0.2, "coverage90_models": 0.5})


def test_fits_are_counted_before_they_are_made() -> None:
    # Six families in three parts: two laws on 3 + 1 folds, and the fit to all.
    kinds = {"part": "leave-one-out:part", "step": "weak-to-strong:step"}
    assert count_fits(simulated.world(0.0), kinds, Law()) == 9


def test_the_mean_loss_is_the_same_law_without_salience() -> None:
    data = simulated.world(0.0)
    laws = laws_beside(demo.LAW, data)
    assert list(laws) == ["mean_loss", "salience"]
    assert laws["salience"] == demo.LAW
    assert laws["mean_loss"] == replace(demo.LAW, priors=demo.LAW.priors._replace(strength=0.0))
    assert list(laws_beside(Law(), replace(data, losses=None))) == ["law"]


def test_a_ladder_without_a_signal_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "load_ladder", lambda folder=None: with_scores(np.full((24, 2), 0.25), 300, 0.25))
    with pytest.raises(InputError, match="found none among b0, b1"):
        demo.run_demo(tmp_path / "run")
    assert not list(tmp_path.iterdir())
