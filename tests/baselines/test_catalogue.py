"""The contract of `method`, kept by every competitor."""

from collections.abc import Callable

import jax
import numpy as np
import pytest

from csvjax.baselines import METHODS, Fitted, Method, View, find_methods, hide
from csvjax.data.dataset import Dataset
from csvjax.errors import InputError

TRAIN = np.arange(20) % 4 < 3  # the largest of each family is to be predicted
KEY = jax.random.key(0)
# The law compiles for each number of capabilities.
EVERY = [pytest.param(name, marks=pytest.mark.slow if name.startswith("law") else ()) for name in METHODS]


@pytest.fixture
def view(make: Callable[..., Dataset]) -> View:
    return hide(make(), TRAIN, ("x", "y"))


@pytest.mark.parametrize("name", [*EVERY, pytest.param("sloth-link", marks=pytest.mark.slow)])
def test_every_method_keeps_the_contract(name: str, view: View) -> None:
    (method,) = find_methods([name]).values()
    assert isinstance(method, Method)
    fitted = method.fit(view, KEY)
    assert isinstance(fitted, Fitted)
    point, draws = fitted.predict(view), fitted.draws(view, KEY, 7)
    assert point.shape == (20, 2)
    assert draws.shape == (7, 20, 2)
    assert np.isfinite(point[~TRAIN]).all()
    np.testing.assert_array_equal(np.isnan(draws), np.isnan(point)[None].repeat(7, axis=0))
    assert np.nanmin(draws) >= 0
    assert np.nanmax(draws) <= 1
    again = find_methods([name])[name].fit(view, KEY)
    np.testing.assert_array_equal(again.predict(view), point)
    np.testing.assert_array_equal(again.draws(view, KEY, 7), draws)


@pytest.mark.parametrize("name", EVERY)
def test_a_row_is_predicted_from_itself_and_the_fit(name: str, view: View) -> None:
    fitted = METHODS[name]().fit(view, KEY)
    alone = np.flatnonzero(~TRAIN)[[1, 3]]
    np.testing.assert_allclose(fitted.predict(view.take(alone)), fitted.predict(view)[alone], rtol=1e-9)


@pytest.mark.parametrize("name", EVERY)
def test_what_a_method_does_not_need_it_does_not_use(name: str, view: View) -> None:
    method = METHODS[name]()
    fitted = method.fit(view.only(method.needs), KEY)
    np.testing.assert_array_equal(fitted.predict(view), method.fit(view, KEY).predict(view))


def test_methods_are_found_by_name() -> None:
    assert list(find_methods(["all"])) == list(METHODS)
    assert list(find_methods(["sloth-link", "all"])) == ["sloth-link", *METHODS]
    assert list(find_methods(["sloth", "pca-2", "sloth"])) == ["sloth", "pca-2"]
    with pytest.raises(InputError, match="found 'slot': the nearest is 'sloth'"):
        find_methods(["slot"])


def test_names_are_those_of_one_method_and_say_where_it_is_from() -> None:
    methods = find_methods(["all"]).values()
    assert len({method.name for method in methods}) == len(METHODS)
    assert all("arXiv" in method.source or method.source == "no model" for method in methods)
