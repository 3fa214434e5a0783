"""A model that is taken out of a store leaves the others as they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from csvjax.data.read_losses import read_losses, write_losses
from csvjax.errors import InputError
from csvjax.losses import store as stores
from csvjax.losses.drop import drop, read_complete
from csvjax.losses.units import EncodedText, encode_text
from tests.lms.small import byte_level
from tests.losses.test_store import DOCUMENTS, SETTINGS, files, filled, losses


@pytest.fixture(scope="module")
def text() -> EncodedText:
    return encode_text(DOCUMENTS, byte_level())


@pytest.mark.parametrize("row", [0, 1, 2])
def test_the_others_keep_their_losses(tmp_path: Path, text: EncodedText, row: int) -> None:
    lms = ("m0", "m1", "m2")
    path = tmp_path / "s.zarr"
    store = filled(path, text, lms)
    for lm in lms:
        stores.keep_batch(store, lm, 64)
    stores.chunk_path(store, 2, 1).unlink()
    drop(path, lms[row])
    left = [r for r in range(3) if r != row]
    found = stores.open_store(path, {}, text, True)
    assert stores.attribute(found, "lms") == [lms[r] for r in left]
    assert list(stores.attribute(found, "models")) == list(stores.attribute(found, "batch")) == [lms[r] for r in left]
    if 2 in left:
        stores.write_chunk(found, "m2", 1, losses(2, 20, 40), text, SETTINGS)
    table = read_losses(path)
    np.testing.assert_array_equal(table.loss, [losses(r, 0, len(text.units)) for r in left])
    assert [p.name for p in tmp_path.iterdir()] == ["s.zarr"]


def test_a_store_without_its_last_model_begins_anew(tmp_path: Path, text: EncodedText) -> None:
    filled(tmp_path / "s.zarr", text, ("m0",))
    drop(tmp_path / "s.zarr", "m0")
    filled(tmp_path / "s.zarr", text, ("m1", "m0"))
    assert read_losses(tmp_path / "s.zarr").lms == ("m1", "m0")


def test_what_cannot_be_dropped_is_refused_and_nothing_is_touched(tmp_path: Path, text: EncodedText) -> None:
    path = tmp_path / "s.zarr"
    filled(path, text)
    whole = files(path)
    with pytest.raises(InputError, match="found 'mo': known are 'm0', 'm1'"):
        drop(path, "mo")
    with stores.working(path), pytest.raises(InputError, match="found csvjax losses at work"):
        drop(path, "m0")
    assert files(path) == whole
    write_losses(read_losses(path), tmp_path / "plain.zarr")
    for other in (tmp_path / "plain.zarr", tmp_path / "none"):
        with pytest.raises(InputError, match="found something else; check the path"):
            drop(other, "m0")


def test_incomplete_models_are_left_out_and_named(tmp_path: Path, text: EncodedText) -> None:
    path = tmp_path / "s.zarr"
    store = filled(path, text)
    assert read_complete(path)[1] == ()
    stores.chunk_path(store, 0, 1).write_bytes(b"torn")
    table, left = read_complete(path)
    assert left == ("m0",)
    assert table.lms == ("m1",)
    np.testing.assert_array_equal(table.loss[0], losses(1, 0, len(text.units)))
    stores.chunk_path(store, 1, 0).unlink()
    with pytest.raises(InputError, match=r"a model whose losses are complete in .* found none"):
        read_complete(path)
