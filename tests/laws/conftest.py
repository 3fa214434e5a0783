from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(autouse=True, scope="module")
def x64() -> Iterator[None]:
    """The laws are evaluated in float64, as fits do."""
    with jax.enable_x64(True):
        yield
