"""Salience as a function of features of a token, so that it can be applied to text that the fit has not seen.

    z[u] = network(features[u]),   s = softmax(log pi + z)

The inputs are an embedding of the token's bucket, one of its domain, and its numbers; there is one hidden layer and one
output, plus one number for each bucket and domain. All parameters except the hidden layer start at zero. So an
untrained network gives the mean loss, and a token or a domain that the fit has not seen gets no salience of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from csvjax.scale.features import BUCKETS, NUMBERS, Features

__all__ = ["NetworkConfig", "SalienceNetwork", "make_network"]

_FLOAT32 = jax.lax.Precision.HIGHEST


@dataclass(frozen=True)
class NetworkConfig:
    """domains: of the fit. token_width, domain_width: of embeddings. hidden: width of the hidden layer."""

    domains: int
    token_width: int = 4
    domain_width: int = 4
    hidden: int = 16


class SalienceNetwork(nnx.Module):
    """z of each unit from its features."""

    def __init__(self, config: NetworkConfig, rngs: nnx.Rngs):
        zeros, domains = nnx.initializers.zeros_init(), config.domains + 1
        self.token = nnx.Embed(BUCKETS, config.token_width, embedding_init=zeros, rngs=rngs)
        self.domain = nnx.Embed(domains, config.domain_width, embedding_init=zeros, rngs=rngs)
        self.of_token = nnx.Embed(BUCKETS, 1, embedding_init=zeros, rngs=rngs)
        self.of_domain = nnx.Embed(domains, 1, embedding_init=zeros, rngs=rngs)
        width = config.token_width + config.domain_width + len(NUMBERS)
        self.hidden = nnx.Linear(width, config.hidden, precision=_FLOAT32, rngs=rngs)
        self.out = nnx.Linear(config.hidden, 1, use_bias=False, kernel_init=zeros, precision=_FLOAT32, rngs=rngs)

    def __call__(self, features: Features) -> Float[Array, " unit"]:
        bucket, domain = jnp.asarray(features.bucket), jnp.asarray(features.domain)
        parts = [self.token(bucket), self.domain(domain), jnp.asarray(features.number)]
        inside = self.out(jnp.tanh(self.hidden(jnp.concatenate(parts, axis=1))))
        return (inside + self.of_token(bucket) + self.of_domain(domain))[:, 0]


def make_network(config: NetworkConfig, seed: int) -> SalienceNetwork:
    return SalienceNetwork(config, nnx.Rngs(seed))
