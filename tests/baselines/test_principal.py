import numpy as np
import pytest

from csvjax.baselines.principal import components, imputation, impute, project


def test_components_are_orthonormal_and_lead_with_their_largest_loading() -> None:
    rng = np.random.default_rng(0)
    table = rng.standard_normal((30, 5)) * [5, 1, 0.3, 2, 0.1]
    basis = components(table, 3)
    np.testing.assert_allclose(basis.axes @ basis.axes.T, np.eye(3), atol=1e-12)
    assert all(axis[np.abs(axis).argmax()] > 0 for axis in basis.axes)
    projected = project(basis, table)
    values = np.linalg.eigvalsh(np.cov(table.T))[::-1][:3]  # the variance of a component is an eigenvalue
    np.testing.assert_allclose(np.cov(projected.T), np.diag(values), atol=1e-9)


def test_components_are_not_standardised() -> None:
    table = np.random.default_rng(1).standard_normal((200, 2)) * [10, 0.1]
    np.testing.assert_allclose(components(table, 1).axes, [[1, 0]], atol=0.01)


@pytest.fixture
def low_rank() -> np.ndarray:
    """Scores that are exactly one ability times a loading: gaps are determined by what is there."""
    rng = np.random.default_rng(2)
    return 0.5 + rng.uniform(-1, 1, (12, 1)) * rng.uniform(0.1, 0.4, (1, 6))


def test_gaps_of_a_table_of_rank_one_are_filled_with_what_was_there(low_rank: np.ndarray) -> None:
    table = low_rank.copy()
    table[[0, 3, 3, 7], [1, 0, 5, 2]] = np.nan
    fitted = imputation(table)
    filled = impute(fitted, table)
    np.testing.assert_allclose(filled, low_rank, atol=2e-3)  # mean and deviation are those of the observed cells
    known = ~np.isnan(table)
    np.testing.assert_array_equal(np.round(filled[known], 12), np.round(table[known], 12))
    new = np.full((1, 6), np.nan)
    new[0, :3] = 0.5 + 0.8 * (low_rank[0, :3] - 0.5)
    np.testing.assert_allclose(impute(fitted, new)[0], 0.5 + 0.8 * (low_rank[0] - 0.5), atol=5e-3)


def test_filled_scores_stay_fractions(low_rank: np.ndarray) -> None:
    table = low_rank.copy()
    table[0, 1] = np.nan
    new = np.full((2, 6), np.nan)
    new[:, 0] = [1.0, 0.0]
    filled = impute(imputation(table), new)
    assert filled.min() >= 0
    assert filled.max() <= 1
    assert filled[0, 1] > 0.9
    assert filled[1, 1] < 0.1


def test_a_row_is_filled_without_looking_at_the_rows_beside_it(low_rank: np.ndarray) -> None:
    fitted = imputation(low_rank[:8])
    table = low_rank[8:].copy()
    table[:, 2] = np.nan
    alone = impute(fitted, table[:1])
    table[1:, 3] = 0.0
    np.testing.assert_allclose(impute(fitted, table)[:1], alone, rtol=1e-12)
