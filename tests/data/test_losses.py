from collections.abc import Iterator
from typing import Any

import jaxtyping
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csvjax.data.losses import LossTable
from csvjax.errors import InputError

TEXT = "Grüße 🙂!"


def units_of(text: str, ends: list[int], document: str = "d", domain: str = "german") -> pd.DataFrame:
    """The units of a text that end at these bytes, wherever its characters begin."""
    data, starts = text.encode(), [0, *ends[:-1]]
    tokens = [data[start:end].decode(errors="replace") for start, end in zip(starts, ends, strict=True)]
    sizes = [end - start for start, end in zip(starts, ends, strict=True)]
    columns = {"token": tokens, "document": document, "domain": domain, "start": starts, "bytes": sizes}
    return pd.DataFrame(columns)


def small(**change: Any) -> LossTable:
    """Two models and three units, the second of which ends within a character."""
    units = units_of(TEXT, [3, 10, len(TEXT.encode())])
    parts = {"lms": ("a", "b"), "loss": np.array([[1, 2, 3], [4, 5, 6.0]]), "units": units, "texts": {"d": TEXT}}
    return LossTable(**{**parts, **change})


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Without the shapes that tests check before the table itself can."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


def test_weights_and_mean_loss_are_by_bytes() -> None:
    table = small()
    np.testing.assert_allclose(table.base_weight, np.array([3, 7, 3]) / 13)
    np.testing.assert_allclose(table.mean_loss, [6 / 13, 15 / 13])
    by_definition = (table.base_weight * table.loss / table.units["bytes"].to_numpy()).sum(axis=1)
    np.testing.assert_allclose(table.mean_loss, by_definition)


@given(st.text(min_size=1, max_size=30), st.lists(st.integers(1, 100), max_size=20), st.randoms())
def test_the_mean_loss_does_not_depend_on_how_a_text_is_cut(text: str, cuts: list[int], random: Any) -> None:
    size = len(text.encode())
    ends = sorted({cut for cut in cuts if cut < size} | {size})
    units = units_of(text, ends)
    nats = units["bytes"].to_numpy(float) * 0.7
    cut = LossTable(("a",), nats[None], units, {"d": text})
    whole = LossTable(("a",), np.array([[size * 0.7]]), units_of(text, [size]))
    np.testing.assert_allclose(cut.mean_loss, whole.mean_loss, rtol=1e-12)
    np.testing.assert_allclose(cut.base_weight.sum(), 1)
    order = list(range(len(ends)))
    random.shuffle(order)
    shuffled = LossTable(("a",), nats[None, order], units.iloc[order], {"d": text})
    np.testing.assert_allclose(shuffled.mean_loss, cut.mean_loss, rtol=1e-12)


@pytest.mark.parametrize(
    ("given_type", "kept"),
    [(np.float16, np.float32), (np.float32, np.float32), (np.float64, np.float64)],
)
def test_losses_are_float32_or_float64_and_read_only(given_type: type, kept: type) -> None:
    table = small(loss=np.ones((2, 3), given_type))
    assert table.loss.dtype == kept
    with pytest.raises(ValueError, match="read-only"):
        table.loss[0, 0] = 0


def changed(column: str, value: Any, unit: int = 1) -> pd.DataFrame:
    units = small().units.astype({column: object})
    units.loc[unit, column] = value
    return units


def with_loss(value: float) -> np.ndarray:
    loss = np.ones((2, 3))
    loss[1, 2] = value
    return loss


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"loss": with_loss(np.nan)}, r"found nan for lm 'b' at token .*!' \(unit 2\) of document 'd'"),
        ({"loss": with_loss(np.inf)}, "found inf for lm 'b' at token"),
        ({"loss": with_loss(-0.5)}, "found -0.5 for lm 'b' at token"),
        ({"loss": np.ones((3, 2))}, r"loss \[lm, unit\] of shape \(2, 3\), .* found \(3, 2\)"),
        ({"loss": np.ones(3)}, r"found \(3,\)"),
        ({"lms": ("a", "a")}, "each lm once, found 'a' as number 1 and number 2"),
        ({"units": small().units.drop(columns="start")}, "none named 'start'"),
        ({"units": small().units.iloc[:0], "loss": np.ones((2, 0))}, "at least one unit"),
        ({"units": changed("bytes", 0)}, "bytes of unit 1 to be a whole number of at least 1, found 0"),
        ({"units": changed("bytes", 1.5)}, "bytes of unit 1 .* found 1.5"),
        ({"units": changed("start", -1)}, "start of unit 1 to be a whole number of at least 0, found -1"),
        ({"units": changed("start", None)}, "start of unit 1"),
        ({"units": changed("token", 7)}, "a string as token of unit 1, found 7"),
        ({"units": changed("domain", None)}, "a string as domain of unit 1"),
        ({"texts": {"D": TEXT}}, "texts of documents that have units, found 'D'"),
        ({"texts": {"d": TEXT[:-1]}}, r"\(unit 2\) at bytes 10 to 13 of document 'd'"),
        ({"units": changed("token", "x")}, r"token 'x' \(unit 1\) at bytes 3 to 10 of document 'd', found"),
    ],
)
def test_a_wrong_table_is_refused_with_the_place_at_fault(unchecked: None, change: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        small(**change)
    assert ". " not in str(caught.value)


def test_the_rounding_of_a_certain_token_is_no_fault() -> None:
    assert small(loss=with_loss(-1e-6)).loss[1, 2] < 0


def test_select_takes_models_in_the_order_asked_for() -> None:
    table = small().select(["b"])
    assert table.lms == ("b",)
    np.testing.assert_array_equal(table.loss, [[4, 5, 6]])
    np.testing.assert_array_equal(small().select(["b", "a"]).loss, small().loss[::-1])
    assert table.texts == {"d": TEXT}
    with pytest.raises(InputError, match="found no lm named 'B': the nearest is 'b'"):
        small().select(["B"])


def test_columns_of_the_caller_are_kept_and_its_frame_left_alone() -> None:
    units = small().units.assign(window=[0, 0, 1]).set_axis([5, 6, 7])
    table = small(units=units)
    assert list(table.units["window"]) == [0, 0, 1]
    assert list(table.units.index) == [0, 1, 2]
    assert list(units.index) == [5, 6, 7]
