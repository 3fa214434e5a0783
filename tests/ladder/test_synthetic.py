"""Generated text: its lines are right, and the sums kept for tasks are never among them."""

from __future__ import annotations

import re

import numpy as np
import pytest

from csvjax.ladder.synthetic import copy_letters, count_steps, document, reserved, sum_operands

LINES = [line for seed in range(400) for line in document(seed).splitlines()]
SUMS = [tuple(map(int, re.findall(r"\d+", line))) for line in LINES if "=" in line]


def test_every_line_is_a_right_sum_count_or_copy() -> None:
    for line in LINES:
        if match := re.fullmatch(r"(\d{2,3}) \+ (\d{2,3}) = (\d+)", line):
            a, b, total = map(int, match.groups())
            assert a + b == total
            assert len(match[1]) == len(match[2])
        elif match := re.fullmatch(r"count (-?\d+) (-?\d+) (-?\d+) (-?\d+) (-?\d+)", line):
            steps = np.diff([int(x) for x in match.groups()])
            assert steps[0] != 0
            assert (steps == steps[0]).all()
        else:
            match = re.fullmatch(r"copy ((?:[a-z] ){3,6})-> ((?: ?[a-z]){3,6})", line)
            assert match, line
            assert match[1].strip() == match[2]


def test_the_kinds_come_in_the_shares_they_should() -> None:
    """Half sums, a quarter each counts and copies: within five standard deviations of the binomial."""
    for start, share in (("count", 0.25), ("copy", 0.25)):
        found = sum(line.startswith(start) for line in LINES)
        assert abs(found - share * len(LINES)) < 5 * np.sqrt(share * (1 - share) * len(LINES))


def test_reserved_sums_are_never_trained_on() -> None:
    assert len(SUMS) > 7000
    assert not [s for s in SUMS if reserved(s[0], s[1])]


def test_reserving_does_not_depend_on_the_order() -> None:
    assert all(reserved(a, b) == reserved(b, a) for a in range(10, 300, 7) for b in range(10, 300, 3))


def test_every_last_digit_of_a_result_is_trained_on() -> None:
    """Else a language model learns that no sum ends in some digit, and the tasks ask for just that digit."""
    assert {s[2] % 10 for s in SUMS} == set(range(10))


@pytest.mark.parametrize("digits", [2, 3])
def test_a_tenth_of_all_pairs_is_reserved(digits: int) -> None:
    numbers = range(10 ** (digits - 1), 10**digits, 1 if digits == 2 else 7)
    share = np.mean([reserved(a, b) for a in numbers for b in numbers])
    assert 0.08 < share < 0.12


@pytest.mark.parametrize("held_out", [True, False])
def test_operands_are_of_the_side_and_size_that_was_asked_for(held_out: bool) -> None:
    rng = np.random.default_rng(0)
    for digits in (2, 3):
        pairs = [sum_operands(rng, digits, held_out) for _ in range(300)]
        assert all(reserved(a, b) == held_out and len(str(a)) == len(str(b)) == digits for a, b in pairs)


def test_a_document_is_made_of_its_seed() -> None:
    assert document(3) == document(3) != document(4)
    assert document(3, lines=5).count("\n") == 5


def test_counts_and_copies_have_the_lengths_they_say() -> None:
    rng = np.random.default_rng(0)
    assert {len(count_steps(rng)) for _ in range(100)} == {5}
    assert {len(copy_letters(rng)) for _ in range(100)} == {3, 4, 5, 6}
