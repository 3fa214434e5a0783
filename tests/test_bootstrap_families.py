"""Families drawn with replacement where a model's family is told by the groups of the law."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from csvjax.errors import InputError
from csvjax.infer import Bootstrap, fit
from csvjax.law.density import Density, law_density
from csvjax.law.groups import Groups, make_groups
from csvjax.law.model import Law
from tests.law.tables import evidence, planted

SIZES = (1, 2, 3, 5, 5, 6, 9, 9)  # of families
FAMILY = np.repeat(np.arange(len(SIZES)), SIZES)


class Grouped(NamedTuple):
    observed: np.ndarray
    weight: np.ndarray
    groups: Groups


def _mean(data: Grouped) -> None:
    m = numpyro.sample("m", dist.Normal(0.0, 1e3))
    numpyro.factor("y", -0.5 * jnp.sum(data.weight * (data.observed - m) ** 2))


@pytest.mark.parametrize("tidy", [False, True])  # tidy: some families have no model
def test_families_of_groups_are_drawn_whole(tidy: bool) -> None:
    y = np.random.default_rng(3).normal(size=len(FAMILY))
    names = np.random.default_rng(4).permutation(FAMILY)
    data = Grouped(y, np.ones(len(y)), make_groups(names, tidy=tidy))
    replicates = 1000
    found = fit(Density(_mean), data, Bootstrap("family", replicates, batch=100), jax.random.key(0))
    assert found.status.ok
    # The same resamples by hand: the ratio of totals over families that are drawn with replacement.
    total, size = np.bincount(names, y), np.bincount(names)
    drawn = np.random.default_rng(5).integers(len(size), size=(20_000, len(size)))
    expected = total[drawn].sum(axis=1) / size[drawn].sum(axis=1)
    assert found.draws.std() == pytest.approx(expected.std(), rel=4.5 / np.sqrt(2 * replicates))
    assert found.draws.mean() == pytest.approx(expected.mean(), abs=4.5 * expected.std() / np.sqrt(replicates))


def test_single_models_are_not_drawn_from_families_that_share_effects() -> None:
    density, e = law_density(Law(1, (), ("family",))), planted(evidence(), 0)
    with pytest.raises(InputError, match='expected families of one model for by="case", found larger ones'):
        fit(density, e, Bootstrap("case", 10), jax.random.key(0))
