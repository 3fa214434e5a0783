"""A batch grows while a step gains, and stays within the memory."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import pytest

from csvjax.errors import InputError
from csvjax.losses.batch_size import fit_memory, grow, seconds_of


@pytest.mark.parametrize(
    ("overhead", "largest", "chosen"),
    [
        (0.0, 10**7, 16_384),  # nothing to gain
        (60_000.0, 10**7, 262_144),  # tokens that an empty step would take: 262,144 are 19 % short, 16 times less 4.7
        (60_000.0, 100_000, 65_536),
        (0.0, 5_000, 5_000),
    ],
)
def test_the_smallest_batch_is_taken_that_a_larger_one_hardly_beats(overhead: float, largest: int, chosen: int) -> None:
    asked: list[int] = []

    def seconds(batch: int) -> float:
        asked.append(batch)
        return (batch + overhead) / 1e6

    found = grow(seconds, largest)
    assert max(asked) <= largest
    assert len(set(asked)) == len(asked)  # each shape is compiled once
    faster = (found * 4) / seconds(found * 4)
    assert found == chosen or faster <= 1.05 * found / seconds(found)


def test_a_batch_that_does_not_run_is_not_taken() -> None:
    assert grow(lambda batch: math.inf if batch > 20_000 else 1.0, 10**7) == 16_384
    assert grow(lambda batch: math.inf if batch > 5_000 else 1.0, 10**7) == 4_096


def test_memory_halves_a_batch_down_to_a_window() -> None:
    assert fit_memory(8192, 512, 3000, lambda batch: batch) == 2048
    assert fit_memory(8192, 512, 512, lambda batch: batch) == 512
    assert fit_memory(8192, 512, None, lambda batch: batch) == 8192
    with pytest.raises(InputError, match="for one window of 512 tokens"):
        fit_memory(8192, 512, 500, lambda batch: batch)


def test_a_step_is_timed_and_too_little_memory_is_infinite() -> None:
    assert 0 < seconds_of(lambda: jnp.ones(3) + 1) < 10

    def full() -> jax.Array:
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")

    assert seconds_of(full) == math.inf
