"""The verbs on one small table with losses: fit, predict, reach, save, load, and the salience that they find."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import csvjax
from csvjax.data.dataset import Dataset
from csvjax.data.losses import LossTable
from csvjax.data.scores import ScoreTable
from csvjax.errors import InputError
from csvjax.result.guard import check_fit, plain_error

LMS, UNITS, PLANTED = 40, 5, 3
LAW = csvjax.Law(capabilities=1, covariates=("flops",), effects=("family",))
METHOD = csvjax.Laplace(draws=200, map=csvjax.Map(starts=1, finalists=1))


@pytest.fixture(scope="module")
def table() -> Dataset:
    """Scores of 1,000 items that the loss on one of five texts decides; compute tells of the mean loss alone. The last
    two models have no losses.
    """
    rng = np.random.default_rng(3)
    names = [f"m{i}" for i in range(LMS)]
    flops = 10 ** rng.uniform(20, 23, LMS)
    mean = 3.0 - 0.2 * (np.log10(flops) - 21.5)
    loss = mean[:, None] + rng.normal(0, 0.25, (LMS, UNITS))
    ability = -4.0 * (loss[:, PLANTED] - 3.0)
    score = rng.binomial(1000, expit(ability[:, None] + np.array([0.5, -0.5]))) / 1000
    loss[-2:] = np.nan
    lms = pd.DataFrame(
        {"family": [f"f{i % 8}" for i in range(LMS)], "params": np.nan, "tokens": np.nan, "flops": flops}
    )
    lms.index = pd.Index(names, name="lm", dtype=str)
    text = [f"text {u}" for u in range(UNITS)]
    units = pd.DataFrame({"token": text, "document": text, "domain": text, "start": 0, "bytes": 1})
    scores = ScoreTable(tuple(names), ("easy", "hard"), score, np.full(2, 1000.0), np.zeros(2), np.ones(2))
    return Dataset(lms, scores, LossTable(tuple(names), loss, units))


@pytest.fixture(scope="module")
def seen(table: Dataset) -> np.ndarray:
    mask = np.ones((LMS, 2), bool)
    mask[::8] = False  # a family
    return mask


@pytest.fixture(scope="module")
def fitted(table: Dataset, seen: np.ndarray) -> csvjax.Result:
    return csvjax.fit(table, LAW, method=METHOD, seen=seen, seed=1)


def test_the_fit_says_how_it_ended(fitted: csvjax.Result) -> None:
    assert fitted.status.ok, str(fitted.status)
    assert "converged" in repr(fitted)


def test_salience_is_found_where_it_was_planted(fitted: csvjax.Result) -> None:
    salience = fitted.salience()
    assert list(salience["benchmark"].unique()) == ["easy", "hard"]
    for _, part in salience.groupby("benchmark"):
        assert part["share"].sum() == pytest.approx(1.0)
        assert part["share"].to_numpy()[PLANTED] > 0.75
        row = part.iloc[PLANTED]
        assert row["lower"] < 4.0 < row["upper"]  # logits per nat, as planted
        assert (part["lower"].to_numpy()[np.arange(UNITS) != PLANTED] < 1.0).all()


def test_held_out_scores_are_predicted_from_losses(fitted: csvjax.Result, table: Dataset, seen: np.ndarray) -> None:
    found = csvjax.predict(fitted, seed=2).table()
    assert len(found) == (~seen).sum()
    assert found["crps"].mean() < 0.05
    inside = (found["observed"] >= found["lower90"]) & (found["observed"] <= found["upper90"])
    assert inside.sum() >= 6  # of 10: below that with probability 0.0016 if each is inside with 0.9


def test_a_model_without_losses_is_predicted_from_its_compute(fitted: csvjax.Result) -> None:
    models = pd.DataFrame({"flops": [1e21, 1e23], "family": ["f1", "f1"]}, index=["small", "large"])
    found = csvjax.predict(fitted, models).table().set_index(["benchmark", "lm"])
    assert found.loc[("easy", "large"), "mean"] > found.loc[("easy", "small"), "mean"]
    width = found["upper90"] - found["lower90"]
    assert (width > 0.2).all()  # what its losses would tell is not known
    reached = csvjax.reach(fitted, "easy", 0.6)
    assert reached.smallest < reached.median < np.inf


def test_a_fit_comes_back_from_its_folder(fitted: csvjax.Result, tmp_path: Path) -> None:
    fitted.save(tmp_path / "run")
    again = csvjax.load(tmp_path / "run")
    pd.testing.assert_frame_equal(csvjax.predict(again, seed=5).table(), csvjax.predict(fitted, seed=5).table())
    pd.testing.assert_frame_equal(again.salience(), fitted.salience())
    assert again.law == fitted.law
    assert "theta" in fitted.posterior["posterior"]


def test_a_fit_that_misses_its_own_rows_is_no_fit(fitted: csvjax.Result) -> None:
    from dataclasses import replace

    # Nothing may lie below a floor of 0.6, and most scores do.
    wrong = replace(fitted, evidence=fitted.evidence._replace(floor=np.full(2, 0.6)))
    status = check_fit(wrong)
    assert not status.ok
    assert "worse than a plain least-squares line" in str(status)


def test_the_plain_error_is_the_least_of_mean_and_line() -> None:
    y = np.array([0.2, 0.4, 0.6, 0.8])
    assert plain_error(y, np.full(4, np.nan)) == pytest.approx(y.std())
    assert plain_error(expit(np.arange(4.0)), np.arange(4.0)) < 1e-9


def test_salience_of_a_fit_without_losses_is_refused(fitted: csvjax.Result) -> None:
    from dataclasses import replace

    with pytest.raises(InputError, match="expected a fit with losses"):
        replace(fitted, known=fitted.known._replace(units=None)).salience()
