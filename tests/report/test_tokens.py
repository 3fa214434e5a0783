from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from csvjax.report.colours import ratio_text, scale_of
from csvjax.report.domains import domain_table
from csvjax.report.tokens import WINDOW, token_views, visible


def _units(weights: dict[str, list[float]]) -> pd.DataFrame:
    """Documents of one-byte tokens, named for their domain; `weights` gives each token's ratio."""
    rows = [
        {
            "benchmark": "b",
            "token": f"{doc}{i % 7}",
            "document": doc,
            "domain": doc[0],
            "start": i,
            "bytes": 1,
            "share": w,
        }
        for doc, ws in weights.items()
        for i, w in enumerate(ws)
    ]
    return pd.DataFrame(rows).assign(base_weight=1 / len(rows))


@pytest.mark.parametrize(
    ("token", "in_text", "in_list"),
    [
        (" the", " the", "␣the"),
        ("\n\n", "↵\n↵\n", "↵↵"),
        ("\t", "⇥\t", "⇥"),
        ("\x00\x1b", "‹00›‹1B›", "‹00›‹1B›"),  # noqa: RUF001
        ("a\u202eb", "a‹202E›b", "a‹202E›b"),  # noqa: RUF001
        ("\ud83d", "‹D83D›", "‹D83D›"),  # noqa: RUF001
        ("👩\u200d🔬", "👩\u200d🔬", "👩\u200d🔬"),
        ("x" * 70, "x" * 60 + "…", "x" * 60 + "…"),
    ],
)
def test_whitespace_and_control_characters_are_made_visible(token: str, in_text: str, in_list: str) -> None:
    assert visible(token, in_text=True) == in_text
    assert visible(token, in_text=False) == in_list


def test_the_passage_shown_first_holds_the_most_salient_tokens() -> None:
    ratios = [1.0] * 300
    ratios[200:220] = [9.0] * 20
    _, (view,) = token_views(_units({"a/1": ratios, "b/2": [0.5] * 100, "c/3": [1.0] * 10}))
    first = view.high[0]
    assert first.document == "a/1"
    assert first.start <= 200
    assert first.start + len(first.tokens) >= 220
    assert view.low[0].document == "b/2"


def test_passages_stay_in_a_document_do_not_overlap_and_come_from_several() -> None:
    rng = np.random.default_rng(0)
    weights = {f"d{i}/{i}": list(rng.gamma(1.0, 1.0, size=n)) for i, n in enumerate([400, 5, 60, 61, 130])}
    _, (view,) = token_views(_units(weights))
    assert len(view.high) == 4
    assert len(view.low) == 2
    for passage in view.high + view.low:
        whole = weights[passage.document]
        assert len(passage.tokens) == min(WINDOW, len(whole))
        assert passage.start + len(passage.tokens) <= len(whole)
    for some in (view.high, view.low):
        spans = sorted((p.document, p.start) for p in some)
        assert all(a != b or abs(x - y) >= WINDOW for (a, x), (b, y) in pairwise(spans))
        assert max(np.unique([d for d, _ in spans], return_counts=True)[1]) <= 2


def test_token_types_are_ranked_by_the_weight_that_they_gained() -> None:
    units = _units({"a/1": [3.0] * 7 + [0.5] * 7})
    units["token"] = ["up"] * 7 + ["down"] * 7
    _, (view,) = token_views(units)
    assert [(t.text, t.count) for t in view.gained] == [("up", 7)]
    assert [(t.text, t.ratio) for t in view.lost] == [("down", ratio_text(0.5 * 14 / 24.5))]


def test_a_unit_of_no_bytes_has_no_colour() -> None:
    units = _units({"a/1": [1.0] * 9 + [0.0]})
    units.loc[9, "base_weight"] = 0.0
    _, (view,) = token_views(units)
    assert view.high[0].tokens[9].style == ""


def test_salience_that_equals_the_bytes_has_no_colour() -> None:
    scale, (view,) = token_views(_units({"a/1": [1.0] * 90}))
    assert {t.style for p in view.high for t in p.tokens} == {""}
    assert not view.gained
    assert not view.lost
    assert scale.octaves == pytest.approx(0.1)


def test_the_scale_is_symmetric_and_clips_what_lies_beyond() -> None:
    scale = scale_of(2.0 ** np.linspace(-4, 4, 1001))
    assert scale.octaves == pytest.approx(0.98, abs=0.01)
    assert scale.classes(np.array([0.0, 1e-9, 0.25, 1.0, 4.0, 1e9])) == ["l4", "l4", "l2", "", "h2", "h4"]
    assert scale.classes(np.array([-2.0])) == ["l4"]
    assert [style for style, _ in scale.legend] == ["l4", "l3", "l2", "l1", "", "h1", "h2", "h3", "h4"]


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(1.0, "×1"), (3.21, "×3.2"), (0.1, "÷10"), (0.5, "÷2"), (150.0, "×150"), (0.0, "×0"), (-0.5, "\N{MINUS SIGN}÷2")],  # noqa: RUF001
)
def test_ratios_are_read_as_times_or_divided_by(ratio: float, text: str) -> None:
    assert ratio_text(ratio) == text


def test_domain_shares_are_sums_over_units_in_the_order_of_the_text() -> None:
    table = domain_table(_units({"b/1": [3.0] * 10, "a/2": [1.0] * 30}))
    assert table.domains == ("b", "a")
    assert [s.replace("\N{NO-BREAK SPACE}", " ") for s in table.bytes] == ["25 %", "75 %"]
    ((benchmark, ((share, style), (_, other))),) = table.rows
    assert (benchmark, share.replace("\N{NO-BREAK SPACE}", " ")) == ("b", "50 %")
    assert style.startswith("h")
    assert other.startswith("l")
