"""Models that no law describes are left out, and nobody else is."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from csvjax.fit import Laplace, Map, Nuts
from csvjax.fit import outliers as module
from csvjax.fit.density import Density, Sites
from csvjax.fit.outliers import fit_without_outliers, outliers
from csvjax.fit.result import Fit, Status
from csvjax.laws.joint_law import JointEvidence

KEY = jax.random.key(0)
LMS, BENCHMARKS = 4, 3


@dataclass(frozen=True)
class Rows(Density):
    """A density whose parameters are the log densities of the rows."""

    def constrain(self, x: jax.Array, data: JointEvidence) -> Sites:
        return {"log_lm": jnp.asarray(x)}


ROWS = Rows(lambda: None)


def evidence() -> JointEvidence:
    return JointEvidence(
        score=np.array([[0.2, 0.3, 0.4], [0.0, 1.0, 0.5], [0.0, 0.0, 0.0], [0.6, 0.7, 0.0]]),
        seen=np.array([[1, 1, 1], [1, 1, 1], [0, 0, 0], [1, 1, 0]], bool),
        weight=np.ones(LMS),
        n_items=np.full(BENCHMARKS, 100.0),
        floor=np.zeros(BENCHMARKS),
        ceiling=np.ones(BENCHMARKS),
        covariate=np.zeros((LMS, 0)),
        known=np.zeros((LMS, 0), bool),
        family=np.arange(LMS),
        families=np.zeros(0),
        loss=np.zeros((LMS, 0)),
    )


def anything() -> np.ndarray:
    """log of the probability of an outlier with such scores: 1/100, 1/2 for a score between, 1/4 for one of 0 or 1."""
    return np.log([0.01 / 2**3, 0.01 / 2 / 4**2, 0.01, 0.01 / 2**2])


@pytest.mark.parametrize(("away", "expected"), [(1e-6, [0, 0, 0, 0]), (-1e-6, [1, 1, 1, 1])])
def test_a_model_is_an_outlier_where_anything_is_more_probable(away: float, expected: list[int]) -> None:
    mode = anything() - np.log(0.99) + away
    np.testing.assert_array_equal(outliers(ROWS, evidence(), mode), np.array(expected, bool))


def test_a_model_without_scores_is_none_and_a_prior_of_zero_keeps_everyone() -> None:
    assert not outliers(ROWS, evidence(), np.array([0.0, 0.0, 0.0, 0.0])).any()
    assert not outliers(ROWS, evidence(), np.full(LMS, -1e9), prior=0.0).any()


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, JointEvidence]]:
    """What was fitted, in turn: the second row is absurd, and the first one when that is gone."""
    made: list[tuple[object, JointEvidence]] = []

    def fit(density: Density, e: JointEvidence, method: object, key: jax.Array, *folder: object) -> Fit:
        made.append((method, e))
        mode = np.where(np.asarray(e.seen).any(axis=1), 0.0, -0.5)
        if e.seen[1].any():
            mode[1] = -20.0
        elif e.seen[0].any():
            mode[0] = -20.0
        return Fit(method, mode[None, None], mode, Status(True, "written"), {})

    monkeypatch.setattr(module, "fit", fit)
    return made


@pytest.mark.parametrize("method", [Map(), Laplace()])
def test_it_is_fitted_again_until_none_is_left(fits: list[tuple[object, JointEvidence]], method: Map | Laplace) -> None:
    found = fit_without_outliers(ROWS, evidence(), method, KEY)
    np.testing.assert_array_equal(found.outlier, [True, True, False, False])
    assert [kind for kind, _ in fits] == [method] * 3
    assert [e.seen.any(axis=1).tolist() for _, e in fits] == [[1, 1, 0, 1], [1, 0, 0, 1], [0, 0, 0, 1]]
    assert found.evidence.score[:2].sum() == 0  # nothing can see them
    assert found.log_labels == pytest.approx(np.log(0.99) + anything()[:2].sum())


def test_a_slow_method_runs_once_after_the_mode_was_looked_at(fits: list[tuple[object, JointEvidence]]) -> None:
    method = Nuts(map=Map(starts=1))
    found = fit_without_outliers(ROWS, evidence(), method, KEY)
    assert [kind for kind, _ in fits] == [method.map] * 3 + [method]
    assert found.fit.method == method
    fits.clear()
    kept = fit_without_outliers(ROWS, evidence(), method, KEY, prior=0.0)
    assert [kind for kind, _ in fits] == [method]
    assert not kept.outlier.any()
    assert kept.log_labels == 0
