"""Families and runs as arrays of a fixed shape: every model has one slot, whatever the names."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csvjax.law.groups import Groups, make_groups

pairs = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["r0", "r1", "r2"])), max_size=40)


def by_slot(groups: Groups, field: str) -> np.ndarray:
    return np.concatenate(
        [np.zeros(0, int), *(np.asarray(getattr(bucket, field)).ravel() for bucket in groups.buckets)]
    )


@given(pairs, st.booleans(), st.booleans())
def test_every_model_is_in_exactly_one_slot(members: list[tuple[str, str]], with_runs: bool, tidy: bool) -> None:
    family, run = [f for f, _ in members], [r for _, r in members]
    groups = make_groups(family, run if with_runs else None, tidy)
    lms = len(family)
    named = by_slot(groups, "lm")
    np.testing.assert_array_equal(np.sort(named[named < lms]), np.arange(lms))
    np.testing.assert_array_equal(named[groups.slot], np.arange(lms))
    assert np.all(named <= lms)


@given(pairs, st.booleans())
def test_a_row_of_a_bucket_is_a_family_and_a_number_in_it_a_run(members: list[tuple[str, str]], tidy: bool) -> None:
    family, run = [f for f, _ in members], [r for _, r in members]
    lms = len(members)
    groups, alone = make_groups(family, run, tidy), make_groups(family, tidy=tidy)
    rows: list[str] = []
    for bucket, single in zip(groups.buckets, alone.buckets, strict=True):
        np.testing.assert_array_equal(bucket.lm, single.lm)
        for lm, number, own in zip(bucket.lm, bucket.run, single.run, strict=True):
            there = lm[lm < lms]
            if not len(there):
                continue
            assert len({family[m] for m in there}) == 1
            rows.append(family[there[0]])
            assert np.all((number >= 0) & (number < len(lm)))  # slots stand for runs
            same = number[: len(there), None] == number[: len(there)]
            np.testing.assert_array_equal(same, [[run[i] == run[j] for j in there] for i in there])
            assert len(set(own)) == len(own)
            # What is in no slot is in no model's run.
            assert not set(number[len(there) :]) & set(number[: len(there)])
    assert sorted(rows) == sorted(set(family))


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=30), tidy=st.booleans())
@settings(max_examples=40, deadline=None)
def test_few_slots_are_empty_and_buckets_are_few(sizes: list[int], tidy: bool) -> None:
    buckets = make_groups(np.repeat(np.arange(len(sizes)), sizes), tidy=tidy).buckets
    assert len(buckets) <= 3
    slots = [bucket.lm.shape[1] for bucket in buckets]
    assert all(each & (each - 1) == 0 for each in slots)
    assert slots == sorted(slots)
    # One bucket for all, and one for the largest family beside one for the rest, are both possible.
    most, rounded = max(slots), 2 * len(sizes) + 20 if tidy else len(sizes)
    assert sum(bucket.lm.size for bucket in buckets) + 500 * len(buckets) <= rounded * most + 500


def test_one_large_family_does_not_fill_up_the_others() -> None:
    alone = [f"alone {i}" for i in range(81)]
    first, second = make_groups([*alone, *["corpus"] * 40], tidy=True).buckets
    assert first.lm.shape == (100, 1)
    assert second.lm.shape == (1, 64)
    (bucket,) = make_groups(list("aabbbcd")).buckets
    assert bucket.lm.shape == (4, 4)


def test_tidy_groups_of_like_size_have_the_same_shapes() -> None:
    one, two = (make_groups(list(np.repeat(np.arange(len(n)), n)), tidy=True) for n in ([1, 2, 3, 9], [16, 1, 2]))
    assert [bucket.lm.shape for bucket in one.buckets] == [bucket.lm.shape for bucket in two.buckets]
    assert [bucket.lm.shape for bucket in one.buckets] == [(4, 16)]


@pytest.mark.parametrize("tidy", [True, False])
def test_the_same_name_in_two_families_is_two_runs(tidy: bool) -> None:
    groups = make_groups(["a", "b", "a", "b"], ["r", "r", "r", "s"], tidy)
    place = {
        m: (b, *map(int, np.argwhere(bucket.lm == m)[0]))
        for b, bucket in enumerate(groups.buckets)
        for m in range(4)
        if (bucket.lm == m).any()
    }

    def run(m: int) -> tuple[int, int, int]:
        b, f, s = place[m]
        return b, f, int(groups.buckets[b].run[f, s])

    assert run(0) == run(2)
    assert len({run(0), run(1), run(3)}) == 3
