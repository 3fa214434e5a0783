"""Planted turns are undone, what is no symmetry is left alone, and chains in different modes agree afterwards."""

import numpy as np
import pytest

from csvjax.infer.convergence import rhat
from csvjax.infer.identification import Symmetry, align, diagnostics_table

CHAINS, DRAWS, LMS, BENCHMARKS = 4, 250, 6, 9


def rotation(rng: np.random.Generator, size: int) -> np.ndarray:
    """Uniform over the orthogonal group, reflections included."""
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    return q * np.sign(np.diag(r))


def signed_order(rng: np.random.Generator, size: int) -> np.ndarray:
    return np.eye(size)[rng.permutation(size)] * rng.choice([-1.0, 1.0], size)


def planted(capabilities: int, symmetry: Symmetry, noise: float, by_chain: bool) -> tuple[np.ndarray, ...]:
    """True loadings; draws of loadings and capabilities of which each, or each chain, is turned its own way."""
    rng = np.random.default_rng(capabilities)
    loading = rng.normal(0, 1, (BENCHMARKS, capabilities)) * np.array([1.0, 0.9, 0.6, 0.4])[:capabilities]
    loading[:, 0] = np.abs(loading[:, 0]) + 0.5
    capability = rng.normal(0, 1, (LMS, capabilities))
    make = rotation if symmetry == "rotation" else signed_order
    turn = np.tile(np.eye(capabilities), (CHAINS, DRAWS, 1, 1))
    for c in range(CHAINS):
        own = make(rng, capabilities - 1)
        for d in range(DRAWS):
            turn[c, d, 1:, 1:] = own if by_chain else make(rng, capabilities - 1)
    drawn = loading + noise * rng.standard_normal((CHAINS, DRAWS, *loading.shape))
    able = capability + noise * rng.standard_normal((CHAINS, DRAWS, *capability.shape))
    return loading, drawn @ turn, able @ turn


@pytest.mark.parametrize("symmetry", ["rotation", "signs"])
@pytest.mark.parametrize("capabilities", [2, 3, 4])
def test_planted_turns_are_undone(capabilities: int, symmetry: Symmetry) -> None:
    loading, turned, able = planted(capabilities, symmetry, 0.05, by_chain=False)
    found = align(turned, able, symmetry)
    # One turn of the truth is the reference; all draws must be as near to it as their noise leaves them.
    left, _, right = np.linalg.svd(loading[:, 1:].T @ found.reference[:, 1:])
    truth = np.hstack([loading[:, :1], loading[:, 1:] @ left @ right])
    assert np.abs(found.reference - truth).max() < 5 * 0.05 / np.sqrt(CHAINS * DRAWS) + 0.01
    assert found.loading.std(axis=(0, 1)).max() < 0.05 * 1.2
    assert found.capability[..., 0].std(axis=(0, 1)).max() < 0.05 * 1.2
    spread = np.linalg.norm(able - able.mean(axis=(0, 1)), axis=-1).mean()
    assert np.linalg.norm(found.capability - found.capability.mean(axis=(0, 1)), axis=-1).mean() < 0.3 * spread


@pytest.mark.parametrize("symmetry", ["rotation", "signs"])
def test_logits_and_the_first_capability_stay(symmetry: Symmetry) -> None:
    _, turned, able = planted(3, symmetry, 0.3, by_chain=False)
    found = align(turned, able, symmetry)
    np.testing.assert_allclose(
        able @ np.swapaxes(turned, -1, -2), found.capability @ np.swapaxes(found.loading, -1, -2), atol=1e-10
    )
    np.testing.assert_array_equal(found.loading[..., 0], turned[..., 0])
    np.testing.assert_allclose(found.turn @ np.swapaxes(found.turn, -1, -2) - np.eye(3), 0, atol=1e-12)
    if symmetry == "signs":
        assert set(np.unique(np.abs(found.turn))) == {0.0, 1.0}


def test_the_reference_has_principal_axes_in_order_and_a_positive_largest_loading() -> None:
    _, turned, able = planted(4, "rotation", 0.05, by_chain=False)
    contrasts = align(turned, able).reference[:, 1:]
    product = contrasts.T @ contrasts
    # The last turn of the draws moves their mean a little from its own axes.
    assert np.abs(product - np.diag(np.diag(product))).max() < 0.01 * product.max()
    assert (np.diff(np.diag(product)) < 0).all()
    assert (contrasts[np.abs(contrasts).argmax(axis=0), np.arange(3)] > 0).all()


def test_chains_in_different_modes_agree_once_aligned() -> None:
    _, turned, able = planted(3, "rotation", 0.1, by_chain=True)
    assert rhat(turned).max() > 1.5
    found = align(turned, able)
    table = diagnostics_table(found, able @ np.swapaxes(turned, -1, -2), extra=able[..., 0]).set_index("quantity")
    assert list(table.index) == ["loading, aligned", "capability, aligned", "loading @ loading'", "logit", "extra"]
    # The largest of some fifty r-hats of independent draws.
    assert (table["rhat"] < 1.02).all()
    assert (table["bulk_ess"] > 0.5 * CHAINS * DRAWS).all()
    assert table.loc["loading @ loading'", "count"] == BENCHMARKS * (BENCHMARKS + 1) / 2


def test_chains_that_disagree_are_not_made_to_agree() -> None:
    _, turned, able = planted(3, "rotation", 0.1, by_chain=True)
    turned[0, :, 0, 0] += 1.0
    able[1, :, 2] *= 3.0
    table = diagnostics_table(align(turned, able), able @ np.swapaxes(turned, -1, -2)).set_index("quantity")
    assert (table["rhat"] > 1.2).all()


def test_one_capability_needs_no_turn() -> None:
    rng = np.random.default_rng(0)
    loading, able = rng.random((2, 20, 3, 1)), rng.random((2, 20, 4, 1))
    found = align(loading, able)
    np.testing.assert_array_equal(found.loading, loading)
    np.testing.assert_array_equal(found.capability, able)
