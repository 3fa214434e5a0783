"""Mixtures of experts against all experts for all tokens, and what they need."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import PartitionSpec

from csvjax.errors import InputError
from csvjax.lms.architecture import Experts
from csvjax.lms.checkpoint import read_config
from csvjax.lms.devices import make_mesh, place_weights
from csvjax.lms.experts import Mixture, _blocks
from csvjax.lms.families import make_architecture
from csvjax.losses.batch_size import device_memory
from tests.lms.test_parity import CHECKPOINTS

WIDTH = 8


def mixture(experts: Experts, seed: int = 0) -> Mixture:
    rng = np.random.default_rng(seed)
    graph, state = nnx.split(Mixture(WIDTH, experts, "silu"))
    drawn = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape) * 0.5, jnp.float32), state)
    return nnx.merge(graph, drawn)


def plainly(model: Mixture, x: np.ndarray) -> np.ndarray:
    """Each token by itself, in float64."""

    def kernel(part: str) -> np.ndarray:
        return np.asarray(getattr(model, part).kernel[...], np.float64)

    def silu(z: np.ndarray) -> np.ndarray:
        return z / (1 + np.exp(-z))

    gate, up, down = kernel("gate"), kernel("up"), kernel("down")
    found = np.zeros(x.shape)
    for place in np.ndindex(x.shape[:2]):
        token = x[place].astype(np.float64)
        weight = np.exp(token @ kernel("router"))
        weight /= weight.sum()
        best = np.argsort(-weight)[: model.experts.active]
        total = weight[best].sum() if model.experts.normalised else 1.0
        for i in best:
            found[place] += weight[i] / total * ((silu(token @ gate[i]) * (token @ up[i])) @ down[i])
        if model.experts.shared:
            inside = silu(token @ kernel("shared_gate")) * (token @ kernel("shared_up"))
            found[place] += (inside @ kernel("shared_down")) / (1 + np.exp(-token @ kernel("sharing")))
    return found


@pytest.mark.parametrize(
    ("experts", "length"),
    [
        (Experts(4, 2, 5), 300),  # several blocks for some experts
        (Experts(4, 2, 5, normalised=False, shared=6), 7),
        (Experts(1, 1, 5), 130),
        (Experts(3, 3, 5), 1),
    ],
)
def test_each_token_goes_through_its_experts(experts: Experts, length: int) -> None:
    model = mixture(experts)
    x = np.random.default_rng(1).normal(size=(2, length, WIDTH)).astype(np.float32)
    x[0] += 3 * np.asarray(model.router.kernel[...])[:, 0]  # most tokens go to the first expert
    np.testing.assert_allclose(nnx.jit(lambda m, x: m(x))(model, jnp.asarray(x)), plainly(model, x), atol=1e-4)


@pytest.mark.parametrize("tokens", [1, 400])
def test_blocks_hold_each_pair_of_a_token_and_its_expert_once(tokens: int) -> None:
    rng = np.random.default_rng(tokens)
    expert = np.argsort(rng.random((tokens, 6)) + np.arange(6) / 3, axis=1)[:, :2]
    weight = rng.random((tokens, 2)) + 0.1
    cut = jax.jit(_blocks, static_argnums=2)
    owner, token, factor = map(np.asarray, cut(jnp.asarray(weight), jnp.asarray(expert), 6))
    found = {(int(t), int(owner[i])): f for i, j in np.argwhere(factor > 0) for t, f in [(token[i, j], factor[i, j])]}
    assert (factor > 0).sum() == len(found) == 2 * tokens
    for t, e, w in zip(np.repeat(np.arange(tokens), 2), expert.ravel(), weight.ravel(), strict=True):
        assert found[int(t), int(e)] == pytest.approx(w)


def test_a_token_uses_the_parameters_of_its_experts_only() -> None:
    """Qwen2-MoE with one layer of 5 experts of 8, of which a token uses 2, and a shared one of 12."""
    found = make_architecture(read_config(CHECKPOINTS / "qwen2_moe"))
    attention, mlp, expert = 16 * 4 * 2 * (4 + 2), 3 * 16 * 24, 3 * 16 * 8
    assert [layer.experts is not None for layer in found.layers] == [False, True]
    assert found.params == 2 * attention + mlp + 5 * expert + 3 * 16 * 12 + 16 * 5
    assert found.params - found.active_params == 3 * expert
    dense = replace(found, layers=tuple(replace(layer, experts=None) for layer in found.layers))
    assert dense.active_params == dense.params
    assert device_memory(found, 64, 32, "float32") > device_memory(found, 32, 32, "float32")


def test_each_expert_is_split_over_devices_as_an_mlp_is() -> None:
    place = place_weights(make_mesh())
    wide = place(("blocks", 0, "experts", "gate", "kernel"), np.zeros((3, 8, 16), np.float32))
    narrow = place(("blocks", 0, "experts", "down", "kernel"), np.zeros((3, 16, 8), np.float32))
    assert wide.sharding.spec == PartitionSpec(None, None, "model")
    assert narrow.sharding.spec == PartitionSpec(None, "model", None)


def test_more_experts_for_a_token_than_there_are_is_an_error() -> None:
    config = read_config(CHECKPOINTS / "olmoe")
    config.num_experts_per_tok = 6
    with pytest.raises(InputError, match="from 1 to 5 experts for each token, found 6"):
        make_architecture(config)
