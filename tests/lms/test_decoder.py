"""The decoder against a plain NumPy one, and what extraction and the scaling laws rely on."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from csvjax.lms.decoder import Decoder, DecoderConfig

CONFIG = DecoderConfig(vocabulary=11, width=8, layers=2, heads=2, context=12)


@pytest.fixture
def model() -> Decoder:
    """A decoder whose norm scales are not all one, so that leaving one out would show."""
    graph, params = nnx.split(nnx.eval_shape(lambda: Decoder(CONFIG, nnx.Rngs(0))))
    rng = np.random.default_rng(1)
    drawn = jax.tree.map(lambda x: jnp.asarray((x.ndim == 1) + 0.3 * rng.normal(size=x.shape), x.dtype), params)
    return nnx.merge(graph, drawn)


@nnx.jit
def states(model: Decoder, tokens: jax.Array) -> jax.Array:
    return model.hidden_states(tokens)


def tokens(rows: int = 3, length: int = 12) -> np.ndarray:
    return np.random.default_rng(0).integers(0, CONFIG.vocabulary, (rows, length)).astype(np.int32)


def double(parameter: nnx.Param) -> np.ndarray:
    return np.asarray(parameter[...], np.float64)


def plain_norm(x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * scale


def plain_rotation(x: np.ndarray, position: int, theta: float) -> np.ndarray:
    """Each pair (i, i + half) of one head's vector, as a complex number, turned by position * theta^(-i / half)."""
    half = len(x) // 2
    turned = (x[:half] + 1j * x[half:]) * np.exp(1j * position * theta ** (-np.arange(half) / half))
    return np.concatenate([turned.real, turned.imag])


def plain_attention(x: np.ndarray, qkv: np.ndarray, heads: int, theta: float) -> np.ndarray:
    """Position by position and head by head; position t sees positions 0..t."""
    length, width = x.shape
    q, k, v = (part.reshape(length, heads, width // heads) for part in np.split(x @ qkv, 3, axis=-1))
    mixed = np.zeros_like(q)
    for h in range(heads):
        keys = np.stack([plain_rotation(k[t, h], t, theta) for t in range(length)])
        for t in range(length):
            score = keys[: t + 1] @ plain_rotation(q[t, h], t, theta) / np.sqrt(width // heads)
            weight = np.exp(score - score.max())
            mixed[t, h] = weight / weight.sum() @ v[: t + 1, h]
    return mixed.reshape(length, width)


def plain_gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def plain_logits(model: Decoder, row: np.ndarray) -> np.ndarray:
    config, embedding = model.config, double(model.embedding)
    x = embedding[row] * np.sqrt(config.width)
    for block in model.blocks:
        normed = plain_norm(x, double(block.norm_attention.scale))
        x = x + plain_attention(normed, double(block.qkv), config.heads, config.rope_theta) @ double(block.out)
        x = x + plain_gelu(plain_norm(x, double(block.norm_mlp.scale)) @ double(block.up)) @ double(block.down)
    return plain_norm(x, double(model.norm.scale)) @ embedding.T


def test_logits_are_those_of_a_plain_decoder(model: Decoder) -> None:
    logits = states(model, jnp.asarray(tokens())) @ model.head
    expected = np.stack([plain_logits(model, row) for row in tokens()])
    # float32 against float64: some hundred roundings of 6e-8, on logits of order 1.
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("position", [1, 5, 11])
def test_a_token_does_not_change_the_states_before_it(model: Decoder, position: int) -> None:
    changed = tokens()
    changed[:, position] = (changed[:, position] + 1) % CONFIG.vocabulary
    before, after = (states(model, jnp.asarray(t)) for t in (tokens(), changed))
    np.testing.assert_array_equal(before[:, :position], after[:, :position])
    assert (np.abs(before[:, position:] - after[:, position:]).max(axis=-1) > 1e-4).all()


def test_padding_on_the_right_changes_nothing(model: Decoder) -> None:
    short = states(model, jnp.asarray(tokens(length=7)))
    padded = np.pad(tokens(length=7), ((0, 0), (0, 5)))
    # The same sums in blocks of another size: equal up to rounding.
    np.testing.assert_allclose(states(model, jnp.asarray(padded))[:, :7], short, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "config",
    [CONFIG, DecoderConfig(31, 12, 3, 3), DecoderConfig(vocabulary=7, width=4, layers=1, heads=1, mlp_ratio=2)],
)
def test_params_counts_every_parameter_outside_the_embedding(config: DecoderConfig) -> None:
    params = nnx.state(nnx.eval_shape(lambda: Decoder(config, nnx.Rngs(0))), nnx.Param)
    assert sum(x.size for x in jax.tree.leaves(params)) == config.params + config.vocabulary * config.width


def test_the_head_is_the_embedding(model: Decoder) -> None:
    model.embedding[...] = model.embedding[...].at[3, 2].set(7.0)
    assert model.head.shape == (CONFIG.width, CONFIG.vocabulary)
    np.testing.assert_array_equal(model.head, model.embedding[...].T)
