"""Capabilities and loadings of many draws, rotated so that the same number means the same capability in each draw.

A score depends on capability theta[m] and loading Lambda[b] only through Lambda theta, so any rotation R of both
leaves the likelihood unchanged: Lambda R (R' theta) = Lambda theta. The prior is less symmetric:

- The first capability has positive loadings of similar size, and no rotation that mixes it with others keeps them so.
  So it is (softly) identified, and is never rotated here.
- The others are contrasts. Their signs and their order are exact symmetries of prior and likelihood ("signs").
- Rotations among the contrasts are symmetries of the likelihood, and of the prior only if their scales, family spreads
  and gains are equal ("rotation"). Loadings and capabilities may be rotated so that they can be read and compared
  between chains; parameters of a single contrast (its scale, its family spread) may not.

Rotations are orthogonal Procrustes solutions R = U V' with Lambda' reference = U S V' (Schoenemann 1966, Psychometrika
31, 1); the reference is the mean of the aligned draws, found by iterating (Papastamoulis and Ntzoufras 2022, Stat.
Comput. 32, 10, for exact symmetries).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from csvjax.infer.convergence import bulk_ess, rhat, tail_ess

__all__ = ["Aligned", "Symmetry", "align", "diagnostics_table"]

Symmetry = Literal["rotation", "signs"]
_Nearest = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Contrasts [draw, benchmark, k] and a reference [benchmark, k] -> rotations [draw, k, k]."""

_MOST = 100  # iterations of the reference
_TOLERANCE = 1e-8  # relative change of the reference at which the iteration stops
_COLUMNS = ("quantity", "count", "rhat", "bulk_ess", "tail_ess")


class Aligned(NamedTuple):
    """turn: the orthogonal matrix that each draw's loadings and capabilities were multiplied by; it does not change the
    first capability. reference: mean of the aligned loadings, contrasts in the order of their size.
    """

    loading: Float[np.ndarray, "chain draw benchmark capability"]
    capability: Float[np.ndarray, "chain draw lm capability"]
    turn: Float[np.ndarray, "chain draw capability capability"]
    reference: Float[np.ndarray, "benchmark capability"]


def align(
    loading: Float[np.ndarray, "chain draw benchmark capability"],
    capability: Float[np.ndarray, "chain draw lm capability"],
    symmetry: Symmetry = "rotation",
) -> Aligned:
    """Loadings and capabilities of all draws, with contrasts rotated towards one reference.

    capability @ loading' does not change. With "rotation" the reference's contrasts are its principal axes, so that
    they do not depend on a single draw.
    """
    chains, draws, benchmarks, capabilities = loading.shape
    contrast = loading[..., 1:].reshape(chains * draws, benchmarks, capabilities - 1)
    turn = np.tile(np.eye(capabilities), (len(contrast), 1, 1))
    if capabilities > 1:
        nearest = _rotations if symmetry == "rotation" else _signed_orders
        turn[:, 1:, 1:] = _towards_their_mean(contrast, nearest, symmetry)
    turn = turn.reshape(chains, draws, capabilities, capabilities)
    turned = loading @ turn
    return Aligned(turned, capability @ turn, turn, turned.mean(axis=(0, 1)))


def _towards_their_mean(contrast: np.ndarray, nearest: _Nearest, symmetry: Symmetry) -> np.ndarray:
    """Rotations [draw, contrast, contrast] that bring all draws near their own mean."""
    reference = _start(contrast) if symmetry == "rotation" else contrast[0]
    for _ in range(_MOST):
        turn = nearest(contrast, reference)
        mean = (contrast @ turn).mean(axis=0)
        moved = np.linalg.norm(mean - reference)
        reference = mean
        if moved <= _TOLERANCE * np.linalg.norm(mean):
            break
    return nearest(contrast, reference @ _canonical(reference, symmetry))


def _start(contrast: np.ndarray) -> np.ndarray:
    """The leading axes of the mean of contrast @ contrast', which does not change if a draw is rotated."""
    count = contrast.shape[2]
    values, vectors = np.linalg.eigh(np.einsum("dbk,dck->bc", contrast, contrast) / len(contrast))
    found = np.zeros(contrast.shape[1:])
    kept = min(count, len(values))
    found[:, :kept] = (vectors * np.sqrt(np.maximum(values, 0.0)))[:, ::-1][:, :kept]
    return found


def _canonical(reference: np.ndarray, symmetry: Symmetry) -> np.ndarray:
    """The rotation of the reference itself: principal axes, or ordered by size; the largest loading is positive."""
    if symmetry == "rotation":
        turn = np.linalg.svd(reference)[2].T
    else:
        turn = np.eye(reference.shape[1])[:, np.argsort(-np.linalg.norm(reference, axis=0), kind="stable")]
    turned = reference @ turn
    largest = turned[np.abs(turned).argmax(axis=0), np.arange(turned.shape[1])]
    return turn * np.where(largest < 0, -1.0, 1.0)


def _rotations(contrast: np.ndarray, reference: np.ndarray) -> np.ndarray:
    left, _, right = np.linalg.svd(np.swapaxes(contrast, 1, 2) @ reference)
    return left @ right


def _signed_orders(contrast: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Among all orders and signs, the one with the largest sum of products with the reference."""
    product = np.einsum("dbj,bk->djk", contrast, reference)
    orders = np.array(list(permutations(range(product.shape[1]))))
    at = np.arange(product.shape[1])
    gains = np.stack([np.abs(product[:, order, at]).sum(axis=1) for order in orders])
    best = orders[gains.argmax(axis=0)]
    signs = np.where(np.take_along_axis(product, best[:, None, :], axis=1)[:, 0] < 0, -1.0, 1.0)
    return np.swapaxes(np.eye(len(at))[best], 1, 2) * signs[:, None, :]


def diagnostics_table(
    aligned: Aligned, logit: Float[np.ndarray, "chain draw lm benchmark"], **others: np.ndarray
) -> pd.DataFrame:
    """Columns quantity, count, rhat (the largest), bulk_ess and tail_ess (the smallest number of effective draws).

    Aligned loadings and capabilities show whether the chains agree on the quantities that a reader sees; loading @
    loading' and the logits are invariant, so they show whether the chains agree at all. others: further draws [chain,
    draw, ...] by name.
    """
    products = np.einsum("cdbk,cdak->cdba", aligned.loading, aligned.loading)
    lower = np.tril_indices(products.shape[-1])
    kinds = {
        "loading, aligned": aligned.loading,
        "capability, aligned": aligned.capability,
        "loading @ loading'": products[..., lower[0], lower[1]],
        "logit": logit,
        **others,
    }
    rows = []
    for name, draws in kinds.items():
        if draws.size:
            flat = draws.reshape(*draws.shape[:2], -1)
            worst = rhat(flat).max(), bulk_ess(flat).min(), tail_ess(flat).min()
            rows.append((name, flat.shape[2], *map(float, worst)))
    return pd.DataFrame(rows, columns=list(_COLUMNS))
