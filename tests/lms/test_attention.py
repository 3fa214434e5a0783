"""Attention in blocks of queries, and by the kernels of other platforms, against the plain square."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from csvjax.lms.blocked_attention import blocked


def plain(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    window: int | None,
    cap: float | None,
    valid: np.ndarray,
    slopes: tuple[float, ...] | None = None,
) -> np.ndarray:
    """Query by query and head by head, in float64."""
    batch, length, heads, _ = query.shape
    group = heads // key.shape[2]
    mixed = np.zeros_like(query)
    for b, t, n in np.ndindex(batch, length, heads):
        first = 0 if window is None else max(0, t - window + 1)
        seen = np.flatnonzero(valid[b, first : t + 1]) + first
        if len(seen):
            score = key[b, seen, n // group] @ query[b, t, n]
            score = score if cap is None else cap * np.tanh(score / cap)
            score = score if slopes is None else score + slopes[n] * (seen - t)
            weight = np.exp(score - score.max())
            mixed[b, t, n] = weight / weight.sum() @ value[b, seen, n // group]
    return mixed


@pytest.mark.parametrize(("window", "block"), [(None, 2), (3, 2), (None, 20)])
def test_scores_fall_with_the_distance_where_there_are_slopes(window: int | None, block: int) -> None:
    rng = np.random.default_rng(0)
    query, key, value = (rng.normal(size=(2, 11, n, 4)) for n in (6, 2, 2))
    slopes = (0.5, 0.25, 0.125, 2.0, 1.0, 0.1)
    wanted = plain(query, key, value, window, None, np.ones((2, 11), bool), slopes)
    given = [jnp.asarray(x, jnp.float32) for x in (query, key, value)]
    found = blocked(*given, window, None, None, block, slopes)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("window", [None, 3, 8])
@pytest.mark.parametrize(("cap", "padded"), [(None, False), (2.0, True)])
def test_blocks_give_what_the_square_gives(window: int | None, cap: float | None, padded: bool) -> None:
    rng = np.random.default_rng(0)
    query, key, value = (rng.normal(size=(2, 11, n, 4)) for n in (6, 2, 2))
    valid = np.ones((2, 11), bool)
    if padded:
        valid[0, :5] = False
    wanted = plain(query, key, value, window, cap, valid)
    given = [jnp.asarray(x, jnp.float32) for x in (query, key, value)]
    mask = jnp.asarray(valid) if padded else None
    for block in (1, 4, 64):  # eleven blocks in eight parts, three in three, and one
        found = jax.jit(lambda *x, block=block: blocked(*x, window, cap, mask, block))(*given)
        rows = valid[..., None, None]
        np.testing.assert_allclose(found * rows, wanted * rows, atol=2e-6)


def test_the_program_does_not_grow_with_the_text() -> None:
    def size(length: int, window: int | None) -> int:
        query, key = (jax.ShapeDtypeStruct((1, length, n, 8), jnp.float32) for n in (4, 2))
        lowered = jax.jit(lambda q, k: blocked(q, k, k, window)).lower(query, key)
        return lowered.as_text().count("stablehlo.")

    assert size(32_768, None) <= 1.02 * size(8_192, None)
    assert size(32_768, 512) <= 1.02 * size(2_048, 512)
