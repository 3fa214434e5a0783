"""From checkpoints and text to a store: the losses of a plain pass, whatever is killed, damaged or cut in between."""

from __future__ import annotations

import gzip
import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from csvjax.data.read_losses import read_losses
from csvjax.errors import InputError
from csvjax.lms.checkpoint import Checkpoint, open_checkpoint
from csvjax.losses import extract as extraction
from csvjax.losses import nll
from csvjax.losses import store as stores
from csvjax.losses.extract import LossOptions, extract, plan
from csvjax.losses.nll import document_nll
from csvjax.losses.text import Document, read_text
from csvjax.losses.units import encode_text
from csvjax.losses.windows import plan_windows
from tests.lms.small import sentencepiece, write_checkpoint
from tests.losses.test_store import files

DOCUMENTS = (
    Document("a", "long", "the theme of them and the other things that they say " * 8),
    Document("a", "empty", ""),
    Document("b", "short", "schön 🙂\r\n"),
    Document("b", "one", "t"),
    Document("b", "middle", "they say in the end " * 6),
)
OPTIONS = LossOptions(context=80, stride=30, batch=300, chunk=40)


@pytest.fixture(scope="module")
def lms(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkpoint, Checkpoint]:
    folder = tmp_path_factory.mktemp("lms")
    return tuple(open_checkpoint(str(write_checkpoint(folder / f"m{seed}", seed))) for seed in (0, 1))  # type: ignore[return-value]  # two of them


def load(lm: Checkpoint) -> nll.LanguageModel:
    import jax.numpy as jnp

    return lm.load(jnp.float32, lambda path, array: jnp.asarray(array))


@pytest.mark.parametrize("first", ["bos", "unscored"])
def test_losses_are_those_of_a_plain_pass(tmp_path: Path, lms: tuple[Checkpoint, Checkpoint], first: str) -> None:
    options = LossOptions(80, 30, first, batch=300, chunk=40)
    extract(lms, DOCUMENTS, tmp_path / "s.zarr", options)
    table = read_losses(tmp_path / "s.zarr")
    bos = lms[0].first if first == "bos" else None
    text = encode_text(DOCUMENTS, lms[0].tokenizer, bos is not None)
    for lm, row in zip(lms, table.loss, strict=True):
        expected = document_nll(load(lm), plan_windows(text.ids, 80, 30, bos))
        np.testing.assert_allclose(row, expected, atol=2e-5)
    store = stores.open_store(tmp_path / "s.zarr", {}, text, bos is not None)
    said = stores.attribute(store, "models")["m0"]
    assert (said["context"], said["stride"], said["first"], said["dtype"]) == (80, 30, bos, "float32")


def test_chunks_and_batches_change_no_loss_beyond_rounding(tmp_path: Path, lms: tuple[Checkpoint, Checkpoint]) -> None:
    extract(lms[:1], DOCUMENTS, tmp_path / "a.zarr", OPTIONS)
    extract(lms[:1], DOCUMENTS, tmp_path / "b.zarr", LossOptions(context=80, stride=30, batch=1000, chunk=17))
    np.testing.assert_allclose(read_losses(tmp_path / "a.zarr").loss, read_losses(tmp_path / "b.zarr").loss, atol=2e-5)


def test_what_is_there_is_not_computed_again_and_what_is_damaged_is(
    tmp_path: Path, lms: tuple[Checkpoint, Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.zarr"
    extract(lms, DOCUMENTS, path, OPTIONS)
    whole = files(path)
    store = stores.open_store(path, {}, encode_text(DOCUMENTS, lms[0].tokenizer), True)
    hurt = stores.chunk_path(store, 1, 2)
    hurt.write_bytes(hurt.read_bytes()[:-1] + b"?")
    written: list[tuple[str, int]] = []
    write = stores.write_chunk

    def spy(store, lm, chunk, *rest) -> None:  # type: ignore[no-untyped-def]  # as in write_chunk
        written.append((lm, chunk))
        write(store, lm, chunk, *rest)

    monkeypatch.setattr(stores, "write_chunk", spy)
    extract(lms, DOCUMENTS, path, OPTIONS)
    assert written == [("m1", 2)]
    assert files(path) == whole


def test_an_extraction_that_stops_goes_on_where_it_was(tmp_path: Path, lms: tuple[Checkpoint, Checkpoint]) -> None:
    extract(lms, DOCUMENTS, tmp_path / "once.zarr", OPTIONS)

    class Stopped(Exception):
        pass

    def stop(lm: str, done: int, total: int) -> None:
        if lm == "m1" and done:
            raise Stopped

    with pytest.raises(Stopped):
        extract(lms, DOCUMENTS, tmp_path / "s.zarr", OPTIONS, stop)
    told: list[tuple[str, int, int]] = []
    extract(lms, DOCUMENTS, tmp_path / "s.zarr", OPTIONS, lambda *said: told.append(said))
    assert told[0] == ("m0", 0, 0)
    assert files(tmp_path / "s.zarr") == files(tmp_path / "once.zarr")


def test_parts_side_by_side_make_the_whole(tmp_path: Path, lms: tuple[Checkpoint, Checkpoint]) -> None:
    extract(lms[:1], DOCUMENTS, tmp_path / "once.zarr", OPTIONS)
    for i in range(3):
        extract(lms[:1], DOCUMENTS, tmp_path / "s.zarr", replace(OPTIONS, part=(i, 3)))
    assert files(tmp_path / "s.zarr") == files(tmp_path / "once.zarr")


def test_each_shape_is_traced_once(tmp_path: Path, lms: tuple[Checkpoint, Checkpoint]) -> None:
    """Two models of one architecture share their programs: one for windows up to 64 tokens and one up to 80."""
    nll._token_nll.clear_cache()
    extract(lms, DOCUMENTS, tmp_path / "s.zarr", OPTIONS)
    assert 1 <= nll._token_nll._cache_size() <= 2


def test_a_batch_that_was_chosen_is_kept(
    tmp_path: Path, lms: tuple[Checkpoint, Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that is resumed goes on with the batch that it had, whatever would be chosen now."""
    chosen = [160, 300]
    monkeypatch.setattr(extraction._Run, "_choose_batch", lambda *of: chosen.pop(0))
    options = replace(OPTIONS, batch=None)
    said: list[str] = []
    extract(lms[:1], DOCUMENTS, tmp_path / "s.zarr", options, say=said.append)
    assert said == ["m0: 131 tokens to score in batches of 160 on each device (2 windows of 80)"]
    whole = files(tmp_path / "s.zarr")
    stores.chunk_path(zarr.open_group(tmp_path / "s.zarr", mode="r"), 0, 3).unlink()
    extract(lms[:1], DOCUMENTS, tmp_path / "s.zarr", options, say=said.append)
    assert "batches of 160" in said[1]
    assert files(tmp_path / "s.zarr") == whole


def test_an_error_while_a_chunk_is_stored_stops_the_run(
    tmp_path: Path, lms: tuple[Checkpoint, Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*of: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stores, "write_chunk", full)
    with pytest.raises(OSError, match="No space left"):
        extract(lms, DOCUMENTS, tmp_path / "s.zarr", OPTIONS)


def test_bfloat16_weights_are_near(tmp_path: Path, lms: tuple[Checkpoint, Checkpoint]) -> None:
    extract(lms[:1], DOCUMENTS, tmp_path / "a.zarr", OPTIONS)
    extract(lms[:1], DOCUMENTS, tmp_path / "b.zarr", replace(OPTIONS, dtype="bfloat16"))
    a, b = (read_losses(tmp_path / name).loss for name in ("a.zarr", "b.zarr"))
    assert 1e-4 < np.abs(a - b).max() < 1
    assert abs(a.mean() - b.mean()) < 0.02
    said = [zarr.open_group(tmp_path / name, mode="r").attrs.get("accuracy") for name in ("a.zarr", "b.zarr")]
    assert said == [None, {"m0": stores.ACCURACY["bfloat16"]}]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (LossOptions(context=300), "context from 1 to 256 tokens, the context of 'm0', found 300"),
        (LossOptions(context=10, stride=11), "stride from 1 to the context of 10 tokens, found 11"),
        (LossOptions(batch=100, memory=1 << 30), "batch cannot be used with --memory"),
        (LossOptions(first="eos"), "'bos' or 'unscored', found 'eos'"),
    ],
)
def test_what_a_model_cannot_do_is_refused(lms: tuple[Checkpoint, Checkpoint], options: LossOptions, says: str) -> None:
    with pytest.raises(InputError, match=says):
        plan(lms, DOCUMENTS, options)


def test_models_with_other_tokenizers_and_empty_text_are_refused(
    tmp_path: Path, lms: tuple[Checkpoint, Checkpoint]
) -> None:
    other = open_checkpoint(str(write_checkpoint(tmp_path / "sp", tokenizer=sentencepiece())))
    with pytest.raises(InputError, match="different ones in 'm0' and 'sp'"):
        plan((lms[0], other), DOCUMENTS, OPTIONS)
    with pytest.raises(InputError, match="text with tokens"):
        plan(lms, DOCUMENTS[1:2], OPTIONS)


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(tmp_path: Path) -> None:
    lm = open_checkpoint(str(write_checkpoint(tmp_path / "few", vocab_size=60)))
    with pytest.raises(InputError, match="tokens below 60, the vocabulary of 'few'"):
        plan([lm], DOCUMENTS, OPTIONS)


def test_a_loss_that_is_not_finite_stops_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"for lm 'hot' at token 't.*of document 'long'"):
        extract([hot(tmp_path)], DOCUMENTS, tmp_path / "s.zarr", OPTIONS)
    assert not (tmp_path / "s.zarr").exists()


def hot(folder: Path) -> Checkpoint:
    """A model with weights near the end of float32: products overflow."""
    from safetensors.numpy import load_file, save_file

    path = write_checkpoint(folder / "hot")
    weights = load_file(path / "model.safetensors")
    weights["model.norm.weight"] *= np.float32(1e38)
    save_file(weights, path / "model.safetensors")
    return open_checkpoint(str(path))


def test_a_model_that_fails_leaves_nothing_and_the_others_go_on(
    tmp_path: Path, lms: tuple[Checkpoint, Checkpoint]
) -> None:
    extract(lms, DOCUMENTS, tmp_path / "once.zarr", OPTIONS)
    said: list[str] = []
    with pytest.raises(InputError, match=r"the losses of 3 models, found errors for 'hot' \(expected finite losses"):
        extract([lms[0], hot(tmp_path), lms[1]], DOCUMENTS, tmp_path / "s.zarr", OPTIONS, say=said.append)
    assert any(line.startswith("hot: expected finite losses") for line in said)
    assert files(tmp_path / "s.zarr") == files(tmp_path / "once.zarr")


def test_weights_that_cannot_be_read_leave_nothing(tmp_path: Path, lms: tuple[Checkpoint, Checkpoint]) -> None:
    def fail(*of: object) -> nll.LanguageModel:
        raise InputError("expected a disk, found none")

    lm = replace(lms[0], load=fail)
    for _ in range(2):
        with pytest.raises(InputError, match="expected a disk"):
            extract([lm], DOCUMENTS, tmp_path / "s.zarr", OPTIONS)
        assert not (tmp_path / "s.zarr").exists()


def command(folder: Path, store: Path) -> list[str]:
    lms = [f"--lm={folder / name}" for name in ("m0", "m1")]
    sizes = ["--context=80", "--stride=8", "--batch=160", "--chunk=16"]
    return [sys.executable, "-m", "csvjax.cli", "losses", *lms, f"--text={folder / 'text'}", f"--out={store}", *sizes]


@pytest.mark.slow
def test_a_store_that_is_killed_at_any_moment_is_completed_to_the_same_bytes(tmp_path: Path) -> None:
    """20 times SIGKILL, from the first import to the last chunk."""
    for seed in (0, 1):
        write_checkpoint(tmp_path / f"m{seed}", seed)
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "long.txt").write_text("the theme of them and the other things that they say " * 80)
    start = time.monotonic()
    subprocess.run(command(tmp_path, tmp_path / "once.zarr"), check=True, capture_output=True)
    whole, took = files(tmp_path / "once.zarr"), time.monotonic() - start
    chunks = sum(name.startswith("loss/c/") for name in whole)
    rng, seen = random.Random(0), set()
    for i in range(20):
        store = tmp_path / f"{i}.zarr"
        process = subprocess.Popen(command(tmp_path, store), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # Half of the kills at a random time, half at a random chunk.
        if i % 2:
            time.sleep(rng.uniform(0.1, 1.0) * took)
        else:
            wanted = rng.randrange(chunks)
            while process.poll() is None and len(list(store.glob("loss/c/*/*"))) < wanted:
                time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
        done = len(list(store.glob("loss/c/*/*[0-9]"))) if store.exists() else -1
        seen.add(done)
        subprocess.run(command(tmp_path, store), check=True, capture_output=True)
        assert files(store) == whole, f"killed with {done} chunks"
    assert len(seen) > 5


def test_documents_come_from_files_folders_and_json_lines(tmp_path: Path) -> None:
    (tmp_path / "prose").mkdir()
    (tmp_path / "prose" / "a.txt").write_bytes(b"one\r\ntwo\n")
    (tmp_path / "prose" / ".hidden").write_text("no")
    (tmp_path / "bad.txt").write_bytes(b"caf\xe9 \xef\xbf\xbd")
    lines = [{"text": "x\ny", "name": "n1", "domain": "math"}, {"text": "z"}]
    (tmp_path / "many.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    found = read_text([str(tmp_path / "prose"), f"odd={tmp_path / 'bad.txt'}", str(tmp_path / "many.jsonl")])
    assert [(d.domain, d.name, d.text, d.replaced) for d in found] == [
        ("prose", "prose/a.txt", "one\r\ntwo\n", 0),
        ("odd", "bad.txt", "caf\ufffd \ufffd", 1),
        ("math", "n1", "x\ny", 0),
        ("many", "many.jsonl:2", "z", 0),
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (gzip.compress(b"text"), "found gzip; unpack"),
        (b"PK\x03\x04rest", "found a zip archive"),
        (b"PAR1 and the rest", "found Parquet"),
        (bytes(range(256)), "found zero bytes, as in binary files"),
        ("text".encode("utf-16"), "found zero bytes, .* UTF-16"),
        ("Привет, мир".encode("koi8-r"), "found 9 invalid characters among 11"),
    ],
    ids=["gzip", "zip", "parquet", "binary", "utf-16", "koi8"],
)
def test_what_is_compressed_or_binary_is_no_text(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder" / "x.jsonl", tmp_path / "folder" / "x.txt"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"text in UTF-8 in .*{path.name}, {says}"):
            read_text([str(tmp_path / "folder")])
        path.unlink()


@pytest.mark.parametrize(
    ("content", "says"),
    [('{"text": 3}', "line 1"), ('{"text": "a"}\n[1]', "line 2"), ("", "at least one document")],
)
def test_text_that_is_none_is_refused(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "x.jsonl").write_text(content)
    with pytest.raises(InputError, match=says):
        read_text([str(tmp_path / "x.jsonl")])
    with pytest.raises(InputError, match="found nothing there"):
        read_text([str(tmp_path / "y.txt")])
    (tmp_path / "z.txt").write_text("z")
    with pytest.raises(InputError, match=r"'z.txt' twice"):
        read_text([str(tmp_path / "z.txt")] * 2)
