"""Models that no law describes are left out, and nobody else is."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest

from csvjax.infer import Laplace, Map, Nuts
from csvjax.infer import outliers as module
from csvjax.infer.outliers import fit_without_outliers, law_log_evidence, log_either, outliers
from csvjax.infer.result import Fit, Status
from csvjax.law.density import Density
from csvjax.law.model import Evidence, Law
from tests.law.tables import evidence as unseen_table

KEY = jax.random.key(0)
LMS, BENCHMARKS = 12, 3
LAW = Law(1)
DENSITY = Density(lambda data: None)


@pytest.fixture(autouse=True)
def rows_are_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log densities of the rows are the parameters themselves."""
    monkeypatch.setattr(module, "_log_rows", lambda density, tail, e, x: x)


def evidence() -> Evidence:
    """Two full rows, one with both 0 and 1; a row without scores; one with a blank; then plain ones."""
    score = np.full((LMS, BENCHMARKS), 0.5)
    score[:4] = [[0.2, 0.3, 0.4], [0.0, 1.0, 0.5], [0.0, 0.0, 0.0], [0.6, 0.7, 0.0]]
    seen = np.ones((LMS, BENCHMARKS), bool)
    seen[2] = seen[3, 2] = False
    return unseen_table(LMS, BENCHMARKS)._replace(score=score, seen=seen)


def anything() -> np.ndarray:
    """log of the probability of an outlier with such scores: 1/100, 1/2 for a score between, 1/4 for one of 0 or 1."""
    return np.log([0.01 / 2**3, 0.01 / 2 / 4**2, 0.01, 0.01 / 2**2] + [0.01 / 2**3] * (LMS - 4))


@pytest.mark.parametrize(("away", "expected"), [(1e-6, False), (-1e-6, True)])
def test_a_model_is_an_outlier_where_anything_is_more_probable(away: float, expected: bool) -> None:
    mode = anything() - np.log(0.99) + away
    np.testing.assert_array_equal(outliers(DENSITY, evidence(), mode, LAW), np.full(LMS, expected))


def test_a_model_without_scores_is_none_and_a_prior_of_zero_keeps_everyone() -> None:
    assert not outliers(DENSITY, evidence(), np.zeros(LMS), LAW).any()
    assert not outliers(DENSITY, evidence(), np.full(LMS, -1e9), replace(LAW, outliers=0.0)).any()


class Search:
    """Modes that are written down: `absurd[i]` is absurd once all before it are left out."""

    def __init__(self, absurd: list[list[int]], ok: bool = True) -> None:
        self.absurd, self.ok = absurd, ok
        self.made: list[tuple[object, Evidence]] = []

    def __call__(self, density: Density, e: Evidence, method: object, key: jax.Array, *folder: object) -> Fit:
        self.made.append((method, e))
        mode = np.zeros(LMS)
        for rows in self.absurd:
            if np.asarray(e.seen)[rows].any():
                mode[rows] = -20.0
                break
        return Fit(method, mode[None, None], mode, Status(self.ok, "written"), {})


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Search:
    made = Search(*request.param)
    monkeypatch.setattr(module, "fit", made)
    return made


@pytest.mark.parametrize("search", [([[1], [0]],)], indirect=True)
@pytest.mark.parametrize("method", [Map(), Laplace()])
def test_it_is_fitted_again_until_none_is_left(search: Search, method: Map | Laplace) -> None:
    found = fit_without_outliers(DENSITY, evidence(), method, KEY, None, LAW)
    np.testing.assert_array_equal(np.flatnonzero(found.outlier), [0, 1])
    assert [kind for kind, _ in search.made] == [method] * 3
    assert [np.flatnonzero(~e.seen[:2].any(axis=1)).tolist() for _, e in search.made] == [[], [1], [0, 1]]
    assert found.evidence.score[:2].sum() == 0  # nothing can see them
    assert found.log_labels == pytest.approx((LMS - 3) * np.log(0.99) + anything()[:2].sum())


@pytest.mark.parametrize("search", [([[1], [0]],)], indirect=True)
def test_a_slow_method_runs_once_after_the_mode_was_looked_at(search: Search) -> None:
    method = Nuts(map=Map(starts=1))
    found = fit_without_outliers(DENSITY, evidence(), method, KEY, None, LAW)
    assert [kind for kind, _ in search.made] == [method.map] * 3 + [method]
    assert found.fit.method == method
    search.made.clear()
    kept = fit_without_outliers(DENSITY, evidence(), method, KEY, None, replace(LAW, outliers=0.0))
    assert [kind for kind, _ in search.made] == [method]
    assert not kept.outlier.any()
    assert kept.log_labels == 0


@pytest.mark.parametrize("search", [([[1], [0, 3]],)], indirect=True)
def test_where_too_many_look_like_outliers_nobody_is_left_out(search: Search) -> None:
    found = fit_without_outliers(DENSITY, evidence(), Map(), KEY, None, LAW)
    assert str(found.refused).startswith("3 of 11 models look like outliers, too many to leave out")
    assert not found.outlier.any()
    np.testing.assert_array_equal(found.evidence.seen, evidence().seen)
    np.testing.assert_array_equal(search.made[-1][1].seen, evidence().seen)  # and this is what was fitted


@pytest.mark.parametrize("search", [([[1]],)], indirect=True)
def test_the_only_model_of_a_benchmark_stays(search: Search) -> None:
    e = evidence()
    e.seen[:, 0] = np.arange(LMS) == 1
    found = fit_without_outliers(DENSITY, e, Map(), KEY, None, LAW)
    assert str(found.refused).startswith("1 of 11 models look like outliers")
    assert not found.outlier.any()


@pytest.mark.parametrize("search", [([[1]], False)], indirect=True)
def test_a_search_that_failed_judges_nobody(search: Search) -> None:
    found = fit_without_outliers(DENSITY, evidence(), Map(), KEY, None, LAW)
    assert not found.outlier.any()
    assert len(search.made) == 1


@pytest.mark.parametrize("search", [([[0], [1], [3], [4], [5], [6]],)], indirect=True)
def test_what_was_fitted_is_what_is_returned_where_there_are_ever_more(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST", 1.0)
    found = fit_without_outliers(DENSITY, evidence(), Map(), KEY, None, LAW)
    np.testing.assert_array_equal(search.made[-1][1].seen, found.evidence.seen)
    np.testing.assert_array_equal(~found.evidence.seen.any(axis=1), found.outlier | (np.arange(LMS) == 2))


def test_a_hidden_score_is_of_the_law_or_of_an_outlier() -> None:
    log_p, score = np.array([-50.0, -50.0, 2.0]), np.array([0.0, 0.4, 0.4])
    bounded = np.ones(3, bool)
    expected = np.log([0.99 * np.exp(-50) + 0.01 / 4, 0.99 * np.exp(-50) + 0.01 / 2, 0.99 * np.exp(2) + 0.01 / 2])
    np.testing.assert_allclose(log_either(log_p, score, bounded, 0.01), expected)
    np.testing.assert_allclose(log_either(log_p, score, bounded, 0.0), log_p)


@pytest.mark.parametrize(("capabilities", "modes"), [(0, 1), (1, 1), (2, 2), (3, 8), (4, 48)])
def test_the_evidence_counts_every_turn_of_the_contrasts(capabilities: int, modes: int) -> None:
    facts = {"potential": np.asarray(3.0), "log_volume": np.asarray(1.0)}
    fit = Fit(Laplace(), np.zeros((1, 1, 1)), np.zeros(1), Status(True, "written"), facts)
    found = module.Cleaned(fit, evidence(), np.zeros(LMS, bool), -0.5)
    assert law_log_evidence(found, capabilities) == pytest.approx(-2.5 + np.log(modes))
