"""Stores in object stores: the losses of a local store, whatever the network does and whoever else writes."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import zarr
from typer.testing import CliRunner

from csvjax import objects
from csvjax.cli import app
from csvjax.data.losses import LossTable
from csvjax.data.read_losses import read_losses, write_losses
from csvjax.errors import InputError
from csvjax.lms.checkpoint import Checkpoint, open_checkpoint
from csvjax.losses import store as stores
from csvjax.losses.extract import extract
from csvjax.losses.overview import look
from csvjax.losses.text import read_text
from csvjax.losses.units import EncodedText, encode_text
from csvjax.objects import address, open_bucket
from tests.lms.small import byte_level, write_checkpoint
from tests.losses.test_extract import DOCUMENTS, OPTIONS
from tests.object_server import faulty, s3

pytest.importorskip("obstore", reason="obstore is not installed, or does not exist for this Python")

SETTINGS = {"context": 64, "weights": "abc", "dtype": "float32"}


@pytest.fixture(scope="module")
def lms(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkpoint, ...]:
    folder = tmp_path_factory.mktemp("lms")
    return tuple(open_checkpoint(str(write_checkpoint(folder / f"m{seed}", seed))) for seed in (0, 1))


@pytest.fixture(scope="module")
def text() -> EncodedText:
    return encode_text(DOCUMENTS, byte_level(), True)


@pytest.fixture(scope="module")
def once(lms: tuple[Checkpoint, ...], tmp_path_factory: pytest.TempPathFactory) -> LossTable:
    """The losses of a store on this machine."""
    path = tmp_path_factory.mktemp("once") / "s.zarr"
    extract(lms, DOCUMENTS, path, OPTIONS)
    return read_losses(path)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3() as host:
        yield host


def reach(patch: pytest.MonkeyPatch, host: str) -> None:
    for name, value in (("ENDPOINT_URL", f"http://{host}"), ("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b")):
        patch.setenv(f"AWS_{name}", value)
    patch.setenv("AWS_REGION", "us-east-1")
    open_bucket.cache_clear()


def equal(found: LossTable, wanted: LossTable) -> None:
    assert sorted(found.lms) == sorted(wanted.lms)
    np.testing.assert_array_equal(found.loss[[found.lms.index(lm) for lm in wanted.lms]], wanted.loss)
    assert found.units.equals(wanted.units)


def test_addresses_survive_pathlib_and_paths_are_none() -> None:
    assert address("s3://b/x/") == address(Path("s3://b/x")) == "s3://b/x"
    assert address("memory://x") == "memory://x"
    assert [address(path) for path in ("s3", "/s3:/x", "a/b.zarr", "c:/x", "s3:x")] == [None] * 5


@pytest.mark.parametrize("where", ["memory", "s3"])
def test_losses_in_an_object_store_are_those_on_disk(
    where: str, lms: tuple[Checkpoint, ...], once: LossTable, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reach(monkeypatch, server)
    path = Path("memory://plain" if where == "memory" else "s3://bucket/plain/s.zarr")
    extract(lms[:1], DOCUMENTS, path, OPTIONS)
    extract(lms, DOCUMENTS, path, OPTIONS)  # the second model joins
    equal(read_losses(path), once)
    assert look(path).missing == {"m0": 0, "m1": 0}


def test_what_is_damaged_or_gone_is_computed_again(lms: tuple[Checkpoint, ...], once: LossTable) -> None:
    path = Path("memory://damage")
    extract(lms, DOCUMENTS, path, OPTIONS)
    bucket = open_bucket("memory://damage")
    whole = {name: bucket.get(name)[0] for name in bucket.names()}  # type: ignore[index]  # it is there
    bucket.delete("loss/c/0/1")
    bucket.put("loss/c/1/0", whole["loss/c/1/0"][:-1] + b"?")
    bucket.put("start/c/0", b"torn")
    assert look_states(path) == {(0, 1): stores.ABSENT, (1, 0): stores.DAMAGED}
    extract(lms, DOCUMENTS, path, OPTIONS)
    assert {name: bucket.get(name)[0] for name in bucket.names()} == whole  # type: ignore[index]  # it is there


def look_states(path: Path) -> dict[tuple[int, int], int]:
    states = stores.chunk_states(zarr.open_group(objects.zarr_place(path), mode="r"))
    return {(int(r), int(c)): int(states[r, c]) for r, c in np.argwhere(states != stores.WHOLE)}


@pytest.mark.parametrize("kind", ["503", "timeout", "torn", "silent", "all"])
def test_faults_of_the_network_change_nothing(
    kind: str, lms: tuple[Checkpoint, ...], once: LossTable, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "_TIMEOUT", timedelta(seconds=1))
    rng = random.Random(kind)
    kinds = ["503", "timeout", "torn", "silent"] if kind == "all" else [kind]
    rate = 0.04 if "timeout" in kinds else 0.15

    def fault(method: str, path: str, number: int) -> str:
        return rng.choice(kinds) if rng.random() < rate else ""

    path, said = Path(f"s3://bucket/{kind}/s.zarr"), list[str]()
    with faulty(server, fault) as (host, injected):
        reach(monkeypatch, host)
        for _ in range(20):  # what the client does not repeat by itself, the same command does
            try:
                extract(lms, DOCUMENTS, path, OPTIONS)
            except InputError as error:
                said.append(str(error))
                continue
            break
        else:
            pytest.fail("the extraction did not end")
    assert all("run the same command again" in sentence for sentence in said)
    assert set(injected) <= set(kinds)
    assert injected
    reach(monkeypatch, server)
    equal(read_losses(path), once)


def test_eight_who_begin_at_once_register_all_their_models(
    text: EncodedText, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reach(monkeypatch, server)
    path = Path("s3://bucket/eight/s.zarr")
    errors: list[BaseException] = []

    def write(number: int) -> None:
        try:
            store = stores.open_store(path, {f"m{number}": SETTINGS}, text, True, 20)
            for chunk in range(2):
                losses = np.random.default_rng([number, chunk]).uniform(0, 5, 20).astype(np.float32)
                stores.write_chunk(store, f"m{number}", chunk, losses, text, SETTINGS, batch=64)
        except BaseException as error:  # shown by the test
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    found = zarr.open_group(objects.zarr_place(path), mode="r")
    lms = stores.attribute(found, "lms")
    assert sorted(lms) == [f"m{number}" for number in range(8)]
    assert stores.attribute(found, "batch") == dict.fromkeys(lms, 64)
    for row, lm in enumerate(lms):
        wanted = [np.random.default_rng([int(lm[1:]), chunk]).uniform(0, 5, 20) for chunk in range(2)]
        np.testing.assert_array_equal(found["loss"][row, :40], np.concatenate(wanted).astype(np.float32))  # type: ignore[index]  # an array


def test_a_store_of_something_else_is_refused_and_kept(lms: tuple[Checkpoint, ...], text: EncodedText) -> None:
    path = Path("memory://other")
    stores.open_store(path, {}, text, True)
    whole = open_bucket("memory://other").names()
    with pytest.raises(InputError, match="with the same corpus"):
        extract(lms, DOCUMENTS[:1], path, OPTIONS)
    assert open_bucket("memory://other").names() == whole
    open_bucket("memory://thesis").put("thesis.txt", b"precious")
    with pytest.raises(InputError, match=r"nothing at memory://thesis, found thesis.txt"):
        stores.open_store(Path("memory://thesis"), {}, text, True)


def test_text_comes_from_objects(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reach(monkeypatch, server)
    for name, data in (("prose/a.txt", b"one\r\ntwo"), ("prose/.hidden", b"no"), ("many.jsonl", b'{"text": "z"}\n')):
        open_bucket("s3://bucket/corpus").put(name, data)
    found = read_text(["s3://bucket/corpus/prose", "x=s3://bucket/corpus/many.jsonl"])
    assert [(d.domain, d.name, d.text) for d in found] == [
        ("prose", "prose/a.txt", "one\r\ntwo"),
        ("x", "many.jsonl:1", "z"),
    ]
    with pytest.raises(InputError, match=r"at s3://bucket/corpus/nothing, found nothing"):
        read_text(["s3://bucket/corpus/nothing"])


def test_commands_take_addresses(tmp_path: Path) -> None:
    open_bucket("memory://text").put("a.txt", b"they say in the end")
    lm = str(write_checkpoint(tmp_path / "m0"))
    done = CliRunner().invoke(
        app, ["losses", "--lm", lm, "--text", "prose=memory://text", "--out", "memory://cli/s.zarr"]
    )
    assert done.exit_code == 0, done.output
    shown = CliRunner().invoke(app, ["losses", "show", "memory://cli/s.zarr", "--json"])
    found = json.loads(shown.stdout)
    assert (found["store"], found["missing"]) == ("memory://cli/s.zarr", {"m0": 0})
    checked = CliRunner().invoke(
        app, ["losses", "join", "memory://cli/s.zarr", "--out", str(tmp_path / "joined.zarr"), "--units", "words"]
    )
    assert checked.exit_code == 0, checked.output
    assert read_losses(tmp_path / "joined.zarr").loss.sum() == pytest.approx(
        read_losses("memory://cli/s.zarr").loss.sum()
    )


def test_a_bucket_that_is_not_there_is_one_sentence(
    lms: tuple[Checkpoint, ...], server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reach(monkeypatch, server)
    with pytest.raises(InputError, match=r"can be used at s3://nowhere/s.zarr, found an error .*; check the address"):
        extract(lms, DOCUMENTS, Path("s3://nowhere/s.zarr"), OPTIONS)
    with pytest.raises(InputError, match=r"s3://bucket/no.zarr: expected a store of losses there, found nothing"):
        read_losses("s3://bucket/no.zarr")


def test_what_only_a_local_path_can_be_is_refused(tmp_path: Path, once: LossTable) -> None:
    with pytest.raises(InputError, match=r"local path for a table of losses, found s3://b/x.zarr"):
        write_losses(once, "s3://b/x.zarr")
    for words in (["losses", "drop", "s3://b/s.zarr", "m0"], ["compare", "--split", "cells", "--out", "gs://b/run"]):
        (tmp_path / "s.csv").write_text("model,flops,a\nx,1e20,0.5\ny,2e20,0.6\n")
        more = ["--scores", str(tmp_path / "s.csv")] if words[0] == "compare" else []
        done = CliRunner().invoke(app, [*words, *more])
        assert done.exit_code == 2
        assert "expected a local path for" in done.stderr, done.output


def test_without_obstore_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    open_bucket.cache_clear()
    with pytest.raises(InputError, match=r"^an address like s3:// needs obstore.*pip install 'csvjax\[objects\]'$"):
        open_bucket("s3://b/x")
