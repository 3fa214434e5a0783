from pathlib import Path

import jax
import numpy as np
import pytest

from csvjax.baselines.observational import observational_index, observational_pca
from csvjax.baselines.view import hide
from csvjax.errors import InputError
from csvjax.evaluate.equivalent import equivalent_flops
from csvjax.evaluate.protocols.observational import emergent

FLOPS = np.array([1e20, 1e21, 1e22, 1e22, np.nan])
REFERENCE = np.array([True, True, True, False, False])


def test_a_family_twice_as_efficient_has_twice_the_equivalent_compute() -> None:
    index = 0.4 * np.log(np.array([1e20, 1e21, 1e22, 2e22, 5e21])) - 3
    axis = equivalent_flops(index, FLOPS, REFERENCE)
    np.testing.assert_allclose(axis.flops, [1e20, 1e21, 1e22, 2e22, 5e21], rtol=1e-9)
    assert axis.slope == pytest.approx(0.4)
    assert axis.r2 == pytest.approx(1)


def test_models_without_an_index_have_no_equivalent() -> None:
    index = np.array([1.0, 2.0, 3.0, np.nan, 2.5])
    assert np.isnan(equivalent_flops(index, FLOPS, REFERENCE).flops[3])
    assert np.isfinite(equivalent_flops(index, FLOPS, REFERENCE).flops[4])


@pytest.mark.parametrize(
    ("index", "reference", "sentence"),
    [
        (np.array([1.0, 2, 3, 4, 5]), np.array([True, False, False, False, True]), "two or more known amounts"),
        (np.array([3.0, 2, 1, 4, 5]), REFERENCE, "rises with compute"),
    ],
)
def test_a_reference_that_is_no_axis_is_one_sentence(index: np.ndarray, reference: np.ndarray, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        equivalent_flops(index, FLOPS, reference)


def test_the_reference_family_is_worth_its_own_compute_and_order_is_that_of_the_index(public_data: Path) -> None:
    problem = emergent(public_data / "obsscaling", "Word Unscramble")
    view = hide(problem.dataset, problem.fold.train, problem.targets)
    index = observational_index(observational_pca(3).fit(view, jax.random.key(0)), view)[:, 0]
    lms = problem.dataset.lms
    reference = (lms["family"] == "Llama-2").to_numpy()
    axis = equivalent_flops(index, lms["flops"].to_numpy(), reference)
    assert axis.r2 > 0.9
    ratio = np.log10(axis.flops / lms["flops"].to_numpy())
    assert np.median(ratio[reference]) == pytest.approx(0, abs=0.15)
    assert np.ptp(ratio) > 1  # families differ by more than tenfold in what their compute is worth
    np.testing.assert_array_equal(np.argsort(axis.flops), np.argsort(index))
