"""Rolling hashes against sets of windows as bytes: what is equal is found, and what was found is gone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csvjax.ladder.overlap import WINDOW, drop_repeats, remove_overlap, window_hashes

# Two letters, so that windows do repeat; characters of one, two, three and four bytes; lines.
TEXT = st.text("ab\né€🜁", max_size=120)
LONG = "All happy families are alike; each unhappy family is unhappy in its own way."


def windows(text: str, window: int = WINDOW) -> list[bytes]:
    data = text.encode()
    return [data[i : i + window] for i in range(len(data) - window + 1)]


def held_out(*texts: str, window: int = WINDOW) -> np.ndarray:
    return np.unique(np.concatenate([window_hashes(t, window) for t in texts]))


@given(TEXT, TEXT, st.sampled_from([1, 2, 5, 17, WINDOW]))
def test_hashes_are_equal_exactly_where_windows_are(left: str, right: str, window: int) -> None:
    hashes = np.concatenate([window_hashes(left, window), window_hashes(right, window)])
    expected = windows(left, window) + windows(right, window)
    assert len(hashes) == len(expected)
    assert len(set(zip(hashes.tolist(), expected, strict=True))) == len(set(expected)) == len(set(hashes.tolist()))


def test_a_window_is_fifty_bytes() -> None:
    assert [len(window_hashes("é" * n)) for n in (0, 24, 25, 26)] == [0, 0, 1, 3]


@given(st.lists(TEXT, max_size=3), TEXT, TEXT, st.sampled_from([3, 7, 20]))
def test_nothing_shared_is_left_and_lines_stay_whole(others: list[str], text: str, end: str, window: int) -> None:
    text = text + "".join(others) + end  # what is held out is in the text, across lines as it comes
    cleaned = remove_overlap(text, held_out(*others, end, window=window), window)
    shared = {w for other in [*others, end] for w in windows(other, window)}
    assert shared.isdisjoint(windows(cleaned, window))
    if shared.isdisjoint(windows(text, window)):
        assert cleaned == text
    lines = iter(text.split("\n"))
    assert cleaned == "" or all(line in lines for line in cleaned.split("\n"))  # in the order of the text


@pytest.mark.parametrize("passage", [LONG, LONG.replace("a", "ä"), LONG.replace(" ", "\n"), "🜁" * 13, "x\n" * 25])
def test_the_lines_that_hold_a_shared_window_go_and_their_neighbours_stay(passage: str) -> None:
    text = f"a line before\n\n{passage}\nÜ: a line after, which is long enough for a window of its own, all told.\n"
    cleaned = remove_overlap(text, held_out(f"Quoted: {passage}"))
    assert set(windows(passage)).isdisjoint(windows(cleaned))
    assert cleaned.startswith("a line before\n")
    assert cleaned.endswith("\nÜ: a line after, which is long enough for a window of its own, all told.\n")


def test_lines_that_a_cut_brings_together_are_searched_again() -> None:
    first, second = "the first half of the passage", "and then the second half of it"
    text = f"{first}\n{LONG}\n{second}\nthe end"
    assert set(windows(f"{first}\n{second}")).isdisjoint(windows(text))
    assert remove_overlap(text, held_out(LONG, f"{first}\n{second}")) == "the end"


@pytest.mark.parametrize("text", ["", "\n", "short", LONG])
def test_nothing_held_out_or_nothing_long_enough_changes_nothing(text: str) -> None:
    assert remove_overlap(text, np.empty(0, np.uint64)) == text
    assert remove_overlap(text[:49], held_out(LONG)) == text[:49]


def test_a_text_that_is_all_shared_becomes_empty() -> None:
    assert remove_overlap(LONG, held_out(LONG)) == ""


LETTERS = st.sampled_from("abc")
PARAGRAPH = st.one_of(LETTERS, LETTERS.map(lambda c: c * 60), LETTERS.map(lambda c: f"{c * 60}\n"))


@given(st.lists(st.lists(PARAGRAPH, max_size=4).map("\n\n".join), max_size=4))
def test_long_paragraphs_are_kept_once_and_short_ones_always(texts: list[str]) -> None:
    kept = drop_repeats(texts)
    before, after = ([[p.strip() for p in t.split("\n\n")] for t in side] for side in (texts, kept))
    long = [p for paragraphs in after for p in paragraphs if len(p) >= WINDOW]
    everything = [p for paragraphs in before for p in paragraphs if len(p) >= WINDOW]
    assert long == list(dict.fromkeys(everything))
    for old, new in zip(before, after, strict=True):
        assert [p for p in old if p and len(p) < WINDOW] == [p for p in new if p and len(p) < WINDOW]
    assert drop_repeats(kept) == kept


def test_a_paragraph_goes_wherever_it_comes_again() -> None:
    other = LONG[::-1]
    assert drop_repeats([f"{LONG}\n\nx", f"{other}\n\n{LONG}\n\nx\n\n{other}"]) == [f"{LONG}\n\nx", f"{other}\n\nx"]
