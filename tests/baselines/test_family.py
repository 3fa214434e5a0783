from collections.abc import Callable
from dataclasses import replace

import jax
import numpy as np

from csvjax.baselines.family import family_mean, last_of_family
from csvjax.baselines.view import hide
from csvjax.data.dataset import Dataset

TRAIN = np.arange(20) % 4 < 3
KEY = jax.random.key(0)


def test_a_family_gets_its_mean_and_its_largest_model(make: Callable[..., Dataset]) -> None:
    view = hide(make(), TRAIN, ("x", "y"))
    mean, last = family_mean().fit(view, KEY).predict(view), last_of_family().fit(view, KEY).predict(view)
    np.testing.assert_allclose(mean[7], view.target[4:7].mean(axis=0))
    np.testing.assert_array_equal(last[7], view.target[6])  # models stand in the order of their size


def test_compute_decides_before_size_and_neither_means_the_mean(make: Callable[..., Dataset]) -> None:
    view = hide(make(), TRAIN, ("x",))
    turned = replace(view, flops=1 / view.flops)
    np.testing.assert_array_equal(last_of_family().fit(turned, KEY).predict(turned)[7], view.target[4])
    unknown = replace(view, flops=view.flops * np.nan)
    np.testing.assert_array_equal(last_of_family().fit(unknown, KEY).predict(unknown)[7], view.target[6])
    nothing = replace(unknown, params=view.params * np.nan)
    np.testing.assert_allclose(
        last_of_family().fit(nothing, KEY).predict(nothing), family_mean().fit(view, KEY).predict(view)
    )


def test_an_unseen_family_gets_the_average_of_the_families(make: Callable[..., Dataset]) -> None:
    train = TRAIN & (np.arange(20) < 16)
    view = hide(make(), train, ("x",))
    families = np.mean([view.target[4 * f : 4 * f + 3].mean() for f in range(4)])
    np.testing.assert_allclose(family_mean().fit(view, KEY).predict(view)[16:], families)
