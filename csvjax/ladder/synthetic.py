"""Generates lines of text with sums, counting and copying, for a domain of its own and for tasks."""

from __future__ import annotations

import numpy as np

__all__ = ["copy_letters", "count_steps", "document", "reserved", "sum_operands"]

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def reserved(a: int, b: int) -> bool:
    """Whether the sum a + b is only for tasks and never in training: a tenth of all pairs, in both orders."""
    low, high = sorted((a, b))
    # The division by 10 mixes the digits: both factors end in 9, so the last digit would be that of 9 (a + b).
    return (low * 7919 + high * 104729) // 10 % 10 == 3


def sum_operands(rng: np.random.Generator, digits: int, held_out: bool) -> tuple[int, int]:
    """Two numbers with `digits` digits, whose pair is reserved for tasks if `held_out`."""
    while True:
        a, b = (int(x) for x in rng.integers(10 ** (digits - 1), 10**digits, 2))
        if reserved(a, b) == held_out:
            return a, b


def count_steps(rng: np.random.Generator) -> list[int]:
    """Five numbers with equal steps, up or down."""
    step = int(rng.choice([1, 1, 2, 3, 5, 10])) * int(rng.choice([1, 1, -1]))
    start = int(rng.integers(0, 100)) + (50 if step < 0 else 0)
    return [start + step * i for i in range(5)]


def copy_letters(rng: np.random.Generator) -> list[str]:
    """Three to six letters, drawn with replacement."""
    return [LETTERS[i] for i in rng.integers(0, 26, int(rng.integers(3, 7)))]


def _line(rng: np.random.Generator) -> str:
    kind = rng.integers(4)
    if kind < 2:
        a, b = sum_operands(rng, 2 + int(kind), held_out=False)
        return f"{a} + {b} = {a + b}"
    if kind == 2:
        return "count " + " ".join(map(str, count_steps(rng)))
    letters = " ".join(copy_letters(rng))
    return f"copy {letters} -> {letters}"


def document(seed: int, lines: int = 40) -> str:
    """A document of generated lines."""
    rng = np.random.default_rng(seed)
    return "\n".join(_line(rng) for _ in range(lines)) + "\n"
