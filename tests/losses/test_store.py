"""A store of losses: made whole, refused where it does not fit, and mended chunk by chunk."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from csvjax.data.read_losses import read_losses
from csvjax.errors import InputError
from csvjax.losses import store as stores
from csvjax.losses.overview import look
from csvjax.losses.text import Document
from csvjax.losses.units import EncodedText, encode_text
from tests.lms.small import byte_level

DOCUMENTS = (
    Document("a", "one", "the theme\n of schöner Kür"),
    Document("b", "two", "日本 them\t\x00 the 🙂 end " * 3),
)
SETTINGS = {"context": 16, "weights": "abc"}


@pytest.fixture(scope="module")
def text() -> EncodedText:
    return encode_text(DOCUMENTS, byte_level())


def filled(path: Path, text: EncodedText, lms: tuple[str, ...] = ("m0", "m1"), chunk: int = 20) -> zarr.Group:
    store = stores.open_store(path, dict.fromkeys(lms, SETTINGS), text, True, chunk)
    bounds = stores.chunk_bounds(store)
    for row, lm in enumerate(lms):
        for c in range(len(bounds) - 1):
            stores.write_chunk(store, lm, c, losses(row, bounds[c], bounds[c + 1]), text, SETTINGS)
    return store


def losses(row: int, start: int, end: int) -> np.ndarray:
    return np.random.default_rng(row).gamma(2.0, 1.0, 1000)[start:end].astype(np.float32)


def files(path: Path) -> dict[str, bytes]:
    return {str(f.relative_to(path)): f.read_bytes() for f in sorted(path.rglob("*")) if f.is_file()}


def test_what_is_written_is_read(tmp_path: Path, text: EncodedText) -> None:
    filled(tmp_path / "s.zarr", text)
    table = read_losses(tmp_path / "s.zarr")
    assert table.lms == ("m0", "m1")
    np.testing.assert_array_equal(table.loss, [losses(row, 0, len(text.units)) for row in (0, 1)])
    assert dict(table.texts) == text.texts


def test_a_chunk_that_is_absent_or_damaged_is_named_and_nothing_else_is_touched(
    tmp_path: Path, text: EncodedText
) -> None:
    path = tmp_path / "s.zarr"
    store = filled(path, text)
    whole = files(path)
    hurt, gone = stores.chunk_path(store, 0, 1), stores.chunk_path(store, 1, 0)
    data = bytearray(hurt.read_bytes())
    data[len(data) // 2] ^= 1
    hurt.write_bytes(data)
    gone.unlink()
    states = stores.chunk_states(store)
    assert states[0, 1] == stores.DAMAGED
    assert states[1, 0] == stores.ABSENT
    assert (states == stores.WHOLE).sum() == states.size - 2
    found = look(path)
    assert found.damaged["m0"] == (str(hurt),)
    assert found.missing == {"m0": 0, "m1": 1}
    bounds = stores.chunk_bounds(store)
    stores.write_chunk(store, "m0", 1, losses(0, bounds[1], bounds[2]), text, SETTINGS)
    stores.write_chunk(store, "m1", 0, losses(1, 0, bounds[1]), text, SETTINGS)
    assert files(path) == whole


@pytest.mark.parametrize("cut", [0, 1, 10])
def test_a_torn_chunk_is_damaged(tmp_path: Path, text: EncodedText, cut: int) -> None:
    store = filled(tmp_path / "s.zarr", text)
    last = stores.chunk_path(store, 1, stores.chunk_states(store).shape[1] - 1)
    last.write_bytes(last.read_bytes()[:cut])
    assert stores.chunk_states(store)[1, -1] == stores.DAMAGED


def test_arrays_of_units_are_mended_when_the_store_is_opened(tmp_path: Path, text: EncodedText) -> None:
    path = tmp_path / "s.zarr"
    filled(path, text)
    whole = files(path)
    (path / "start" / "c" / "0").write_bytes(b"torn")
    with pytest.raises(InputError, match="cannot be read"):
        look(path)
    stores.open_store(path, {"m0": SETTINGS}, text, True)
    assert files(path) == whole


def test_a_copy_of_csvjax_that_nobody_installed_makes_a_store(
    tmp_path: Path, text: EncodedText, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    store = stores.open_store(tmp_path / "s.zarr", {"m0": SETTINGS}, text, True)
    assert stores.attribute(store, "code") == "unknown"


def test_an_unfinished_store_is_no_table_of_losses(tmp_path: Path, text: EncodedText) -> None:
    store = filled(tmp_path / "s.zarr", text)
    stores.chunk_path(store, 1, 0).unlink()
    with pytest.raises(InputError, match=r"found 20 of 'm1' missing; run the same csvjax losses"):
        read_losses(tmp_path / "s.zarr")


def test_a_model_joins_at_the_end_with_its_first_chunk(tmp_path: Path, text: EncodedText) -> None:
    path = tmp_path / "s.zarr"
    filled(path, text, ("m0",))
    before = stores.chunk_path(stores.open_store(path, {}, text, True), 0, 0).read_bytes()
    store = stores.open_store(path, {"m2": SETTINGS}, text, True)
    assert stores.attribute(store, "lms") == ["m0"]
    assert (stores.model_states(store, "m2") == stores.ABSENT).all()
    stores.write_chunk(store, "m2", 1, losses(1, 20, 40), text, SETTINGS, batch=64)
    assert stores.attribute(store, "lms") == ["m0", "m2"]
    assert stores.kept_batch(store, "m2") == 64
    states = stores.chunk_states(store)
    assert (states[0] == stores.WHOLE).all()
    assert states[1].tolist() == [stores.WHOLE if chunk == 1 else stores.ABSENT for chunk in range(len(states[1]))]
    assert stores.chunk_path(store, 0, 0).read_bytes() == before


def other(like: EncodedText, **changes: Any) -> dict[str, Any]:
    given = {"models": {"m0": SETTINGS}, "text": like, "first_scored": True}
    return given | changes


@pytest.mark.parametrize(
    ("named", "change"),
    [
        ("corpus", lambda: {"text": encode_text(DOCUMENTS[:1], byte_level())}),
        ("tokenizer", lambda: {"text": encode_text(DOCUMENTS, byte_level(280))}),
        ("scoring", lambda: {"first_scored": False}),
        ("context", lambda: {"models": {"m0": SETTINGS | {"context": 8}}}),
        ("weights", lambda: {"models": {"m0": SETTINGS | {"weights": "abd"}}}),
    ],
)
def test_a_store_of_something_else_is_refused(tmp_path: Path, text: EncodedText, named: str, change: Any) -> None:
    path = tmp_path / "s.zarr"
    filled(path, text)
    whole = files(path)
    with pytest.raises(InputError, match=f"{named}.*choose another path"):
        stores.open_store(path, **other(text, **change()))
    assert files(path) == whole


def test_what_is_no_store_is_refused(tmp_path: Path, text: EncodedText) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="found other files"):
        stores.open_store(tmp_path / "x", {"m0": SETTINGS}, text, True)
    zarr.create_group(tmp_path / "g")
    with pytest.raises(InputError, match="another Zarr group"):
        stores.open_store(tmp_path / "g", {"m0": SETTINGS}, text, True)
    assert (tmp_path / "x" / "thesis.txt").read_text() == "precious"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_is_named_and_not_written(tmp_path: Path, text: EncodedText, value: float) -> None:
    store = stores.open_store(tmp_path / "s.zarr", {"m0": SETTINGS}, text, True, 20)
    bad = losses(0, 20, 40)
    bad[3] = value
    token = re.escape(repr(text.units["token"][23]))
    document = text.units["document"][23]
    with pytest.raises(InputError, match=rf"{value} for lm 'm0' at token {token}.*document '{document}'"):
        stores.write_chunk(store, "m0", 1, bad, text, SETTINGS)
    assert stores.attribute(store, "lms") == []
    assert look(tmp_path / "s.zarr").means.empty
    stores.remove_empty(tmp_path / "s.zarr")
    assert not (tmp_path / "s.zarr").exists()


def test_two_who_begin_at_once_register_both_their_models(tmp_path: Path, text: EncodedText) -> None:
    path = tmp_path / "s.zarr"
    one, two = (stores.open_store(path, {lm: SETTINGS}, text, True, 20) for lm in ("m0", "m1"))
    stores.write_chunk(one, "m0", 0, losses(0, 0, 20), text, SETTINGS)
    stores.write_chunk(two, "m1", 0, losses(1, 0, 20), text, SETTINGS)
    stores.write_chunk(one, "m1", 1, losses(1, 20, 40), text, SETTINGS)
    stores.write_chunk(two, "m0", 1, losses(0, 20, 40), text, SETTINGS)
    found = zarr.open_group(path, mode="r")
    assert stores.attribute(found, "lms") == ["m0", "m1"]
    for row in (0, 1):
        np.testing.assert_array_equal(found["loss"][row, :40], losses(row, 0, 40))  # type: ignore[index]  # an array
    with pytest.raises(InputError, match=r"'m0' in .* with weights"):
        stores.open_store(path, {"m0": SETTINGS | {"weights": "b"}}, text, True)
    with stores.working(path):
        stores.remove_empty(path)
    assert path.exists()


def test_what_a_kill_left_is_cleared_unless_somebody_works(tmp_path: Path, text: EncodedText) -> None:
    path = tmp_path / "s.zarr"
    filled(path, text)
    left = path / "loss" / "c" / "0" / "1.abc.partial"
    left.write_bytes(b"torn")
    with stores.working(path):
        assert not left.exists()
        left.write_bytes(b"of another process")
        with stores.working(path):
            assert left.exists()
