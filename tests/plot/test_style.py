from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from csvjax.errors import InputError
from csvjax.plot.style import PALETTE, SYMBOLS, checked, dots, numbers, of_family, score_axis, shown

# Machado, Oliveira and Fernandes 2009, IEEE TVCG 15, 1291: linear RGB as it is seen with full severity.
DEFICIENCIES = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}
WHITE, DARK = "#FFFFFF", "#12161C"


def linear(colour: str) -> np.ndarray:
    value = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def luminance(colour: str) -> float:
    return float(linear(colour) @ [0.2126, 0.7152, 0.0722])


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) of linear RGB."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    t = to_xyz @ np.clip(rgb, 0, 1) / [0.9505, 1.0, 1.089]
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("colour", PALETTE)
def test_every_colour_has_a_contrast_of_three_with_a_white_and_a_dark_page(colour: str) -> None:
    for page in (WHITE, DARK):
        low, high = sorted((luminance(colour), luminance(page)))
        assert (high + 0.05) / (low + 0.05) >= 3


@pytest.mark.parametrize("kind", DEFICIENCIES)
def test_the_first_colours_differ_for_colour_blind_readers(kind: str) -> None:
    """A difference of 10 in L*a*b* is seen at a glance; further families differ by their symbols too."""
    seen = [lab(np.array(DEFICIENCIES[kind]) @ linear(colour)) for colour in PALETTE[:4]]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 10


def test_families_keep_their_colour_and_symbol_in_a_given_order() -> None:
    found = of_family(["b", "a", "b"], ["a", "b"])
    assert found == {"a": (PALETTE[0], SYMBOLS[0]), "b": (PALETTE[1], SYMBOLS[1])}
    many = of_family(f"f{i}" for i in range(len(PALETTE) * len(SYMBOLS)))
    assert len(set(many.values())) == len(many)  # no two families look alike before 56


def test_names_are_never_markup() -> None:
    assert shown('<b>"a" & b</b>') == '&lt;b&gt;"a" &amp; b&lt;/b&gt;'
    trace = dots(pd.DataFrame({"lm": ["<i>x</i>"], "benchmark": ["a&b"], "x": [1.0], "y": ["<u>"]}), "x", "y")
    assert trace["customdata"] == [["&lt;i&gt;x&lt;/i&gt;", "a&amp;b"]]
    assert trace["y"] == ["&lt;u&gt;"]


def test_numbers_are_short_and_gaps_are_none() -> None:
    assert numbers([0.123456, 0.9, np.nan]) == [0.123, 0.9, None]
    assert numbers([1.23456e22, 5.0]) == [1.235e22, 5.0]
    assert numbers([0.0312345, 0.02]) == [0.03123, 0.02]


def test_scores_without_bounds_are_not_per_cent() -> None:
    assert "% of items" in score_axis("score", [0.1, 1.0, None])["title"]["text"]
    assert "unit of the benchmark" in score_axis("score", [1100.0, 1300.0])["title"]["text"]


def test_a_table_that_lacks_a_column_is_named() -> None:
    with pytest.raises(InputError, match="predictions with the columns mean, found only lm"):
        checked(pd.DataFrame({"lm": ["a"]}), ["lm", "mean"], "predictions")
    with pytest.raises(InputError, match="at least one row"):
        checked(pd.DataFrame({"lm": []}), ["lm"], "predictions")
