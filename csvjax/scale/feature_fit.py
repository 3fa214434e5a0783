"""Fit a feature salience: the network together with the parameters of the law, by Adam (optax).

    loss = potential of the law(x, psi(network)) + |parameters of the network|^2 / (2 scale^2)

A step is two passes over the losses, as for any salience. Between them the network runs on each piece of the features,
and the gradient of z is propagated back through it, piece by piece.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float

from csvjax.law.model import Law
from csvjax.precision import float64
from csvjax.scale.corpus import Corpus
from csvjax.scale.features import Features, Scaling
from csvjax.scale.free import start_of
from csvjax.scale.network import NetworkConfig, make_network
from csvjax.scale.stream import pulled, salient_losses
from csvjax.scale.target import Target, inner_law, potential

__all__ = ["FeatureFit", "fit_features", "z_of"]

_PIECE = 65_536  # units that the network processes at once


class FeatureFit(NamedTuple):
    """config, parameters: of the network; parameters are a nested dict of arrays. x: of the `inner_law`. psi: salient
    loss of each model of the corpus. potentials [step]: the potential at each step.
    """

    config: NetworkConfig
    parameters: dict[str, Any]
    scaling: Scaling
    x: Float[np.ndarray, " n"]
    psi: Float[np.ndarray, " lm"]
    potentials: Float[np.ndarray, " step"]


def _pieces(features: Features) -> list[slice]:
    return [slice(i, i + _PIECE) for i in range(0, len(features.bucket), _PIECE)]


def _part(features: Features, at: slice) -> Features:
    """A piece of the features, padded with its first rows to the one length that is compiled."""
    size = min(_PIECE, len(features.bucket))
    return Features(*(np.resize(a[at], (size, *a.shape[1:])) for a in features))


@partial(jax.jit, static_argnames="graph")
def _run(graph: Any, state: Any, part: Features) -> Array:
    return nnx.merge(graph, state)(part)


@partial(jax.jit, static_argnames="graph")
def _back(graph: Any, state: Any, part: Features, pull: Array) -> Any:
    return jax.vjp(lambda state: nnx.merge(graph, state)(part), state)[1](pull)[0]


def z_of(config: NetworkConfig, parameters: dict[str, Any], features: Features) -> Float[np.ndarray, " unit"]:
    """z of every unit of a text."""
    graph, state = nnx.split(make_network(config, 0))
    nnx.replace_by_pure_dict(state, parameters)
    return _all_z(graph, state, features)


def _all_z(graph: Any, state: Any, features: Features) -> np.ndarray:
    found = np.empty(len(features.bucket), np.float32)
    for at in _pieces(features):
        count = len(found[at])
        found[at] = np.asarray(_run(graph, state, _part(features, at)))[:count]
    return found


def fit_features(
    corpus: Corpus,
    target: Target,
    law: Law,
    features: Features,
    scaling: Scaling,
    *,
    steps: int = 150,
    rate: float = 0.03,
    scale: float = 1.0,
    seed: int = 0,
) -> FeatureFit:
    """The network and the law's parameters after `steps` steps of Adam. rate: learning rate, falls to 0 along a cosine.

    scale: standard deviation of the normal prior of each parameter of the network.
    """
    config = NetworkConfig(len(scaling.domains))
    graph, state = nnx.split(make_network(config, seed))
    mean = np.asarray(salient_losses(corpus, np.zeros((1, corpus.units), np.float32)).psi[:, 0], float)
    begin = start_of(law, target, mean, seed)
    inner = inner_law(law)
    v = jnp.zeros(len(begin.x), jnp.float32)  # x = start + W v
    adam = optax.adam(optax.cosine_decay_schedule(rate, steps))
    memory = adam.init((state, v))
    history = []

    @float64
    def of_law(v: np.ndarray, psi: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        x = jnp.asarray(begin.x + begin.metric @ v)
        value, (dx, dpsi) = potential(inner, x, jnp.asarray(psi), target)
        return float(value), np.asarray(begin.metric).T @ np.asarray(dx), np.asarray(dpsi)

    @jax.jit
    def update(memory: Any, at: Any, slope: Any) -> tuple[Any, Any]:
        moves, memory = adam.update(slope, memory, at)
        return optax.apply_updates(at, moves), memory

    for _ in range(steps):
        z = _all_z(graph, state, features)[None]
        sums = salient_losses(corpus, z)
        value, dv, dpsi = of_law(np.asarray(v, float), np.asarray(sums.psi[:, 0], float)[target.at])
        g = np.zeros((len(corpus.lms), 1), np.float32)
        g[target.at, 0] = dpsi
        dz = pulled(corpus, z, sums, g)[0]
        slope = jax.tree.map(lambda p: p / scale**2, state)
        for at in _pieces(features):
            part = _part(features, at)
            pull = np.zeros(len(part.bucket), np.float32)
            pull[: len(dz[at])] = dz[at]
            slope = jax.tree.map(jnp.add, slope, _back(graph, state, part, pull))
        size = sum(float(jnp.sum(p**2)) for p in jax.tree.leaves(state))
        history.append(value + 0.5 * size / scale**2)
        (state, v), memory = update(memory, (state, v), (slope, jnp.asarray(dv, jnp.float32)))
    psi = np.asarray(salient_losses(corpus, _all_z(graph, state, features)[None]).psi[:, 0], float)
    parameters = jax.device_get(nnx.to_pure_dict(state))
    x = np.asarray(begin.x) + np.asarray(begin.metric) @ np.asarray(v, float)
    return FeatureFit(config, parameters, scaling, x, psi, np.array(history))
