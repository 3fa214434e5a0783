"""Damaged checkpoints and stores are read or refused: some of the inputs of the experiment, and a few by hand."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path

import pytest

from csvjax.errors import InputError
from csvjax.lms.checkpoint import open_checkpoint
from csvjax.lms.tensors import find_weights
from experiments import fuzz
from tests.lms.small import write_checkpoint


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    fuzz._prepare(folder)
    return folder


@pytest.mark.parametrize(
    ("kind", "count"), [("safetensors", 60), ("gguf", 25), ("checkpoint", 8), ("zarr", 15), ("zip", 10)]
)
def test_damage_is_read_or_refused(kind: str, count: int, whole: Path) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGALRM, signal.SIGPROF)}
    try:
        found = fuzz.fuzz(fuzz.Block(kind, 0, count, whole), lambda *said: None)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert found["failures"] == []
    assert found["read"] + found["refused"] == count
    assert found["refused"] > 0


@pytest.mark.parametrize(("kind", "number"), [("checkpoint", 511), ("checkpoint", 1627), ("checkpoint", 4934)])
def test_inputs_that_once_ended_in_a_traceback(kind: str, number: int, whole: Path, tmp_path: Path) -> None:
    """An error other than a refusal is raised here. The damage that a number makes depends on the files."""
    outcome, told = fuzz._KINDS[kind](whole, tmp_path, random.Random(f"{kind} {number}"))
    assert outcome in ("read", "refused"), told


def test_a_bug_in_a_reader_would_be_seen(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(path: object) -> None:
        raise KeyError("tensors")

    monkeypatch.setattr("csvjax.data.read_losses.read_losses", bug)
    found = fuzz.fuzz(fuzz.Block("zip", 0, 3, whole), lambda *said: None)
    assert (found["traceback"], len(found["failures"])) == (3, 3)


@pytest.mark.parametrize(
    ("place", "data"),
    [(8, (1 << 40).to_bytes(8, "little")), (16, (1 << 40).to_bytes(8, "little")), (8, b"\xff" * 16)],
    ids=["tensors", "fields", "both"],
)
def test_a_count_beyond_the_end_of_a_gguf_file_ends_at_once(
    whole: Path, tmp_path: Path, place: int, data: bytes
) -> None:
    raw = (whole / "model.gguf").read_bytes()
    (tmp_path / "m.gguf").write_bytes(raw[:place] + data + raw[place + len(data) :])
    begun = time.monotonic()
    with pytest.raises(InputError, match=r"whole GGUF file at .*m.gguf, found one that cannot be read"):
        open_checkpoint(str(tmp_path / "m.gguf"))
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("key", ["embedding_length", "attention.head_count", "block_count", "feed_forward_length"])
def test_a_gguf_file_without_a_size_is_refused(whole: Path, tmp_path: Path, key: str) -> None:
    raw = (whole / "model.gguf").read_bytes()
    assert key.encode() in raw
    (tmp_path / "m.gguf").write_bytes(raw.replace(key.encode(), key[:-1].encode() + b"?"))
    with pytest.raises(InputError, match=r"m.gguf"):
        open_checkpoint(str(tmp_path / "m.gguf"))


@pytest.mark.parametrize(
    ("key", "says"), [("num_hidden_layers", "at most 10,000 layers"), ("head_dim", "at most 65,536 dimensions")]
)
def test_a_model_of_impossible_size_is_refused_at_once(tmp_path: Path, key: str, says: str) -> None:
    folder = write_checkpoint(tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {key: 2_000_000_000}))
    with pytest.raises(InputError, match=says):
        open_checkpoint(str(folder))


@pytest.mark.parametrize(
    "key", ["hidden_size", "intermediate_size", "vocab_size", "num_attention_heads", "num_key_value_heads"]
)
@pytest.mark.parametrize("value", [-1, -4, 0])
def test_a_model_without_a_positive_size_is_refused(key: str, value: int, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {key: value}))
    with pytest.raises(InputError):
        open_checkpoint(str(folder))


def test_the_whole_files_can_be_read(whole: Path) -> None:
    """Otherwise what is damaged would be refused for another reason."""
    assert open_checkpoint(str(whole / "model.gguf")).architecture.family == "qwen3"
    assert open_checkpoint(str(whole / "checkpoint")).architecture.family == "llama"


def test_a_gguf_file_whose_merges_name_unknown_tokens_is_refused(whole: Path, tmp_path: Path) -> None:
    raw = (whole / "model.gguf").read_bytes()
    word = "Ġthe".encode()
    at = raw.index(len(word).to_bytes(8, "little") + word) + 8
    (tmp_path / "m.gguf").write_bytes(raw[:at] + b"?" * len(word) + raw[at + len(word) :])
    with pytest.raises(InputError, match=r"m.gguf, found others .*out of vocabulary"):
        open_checkpoint(str(tmp_path / "m.gguf"))


def test_deep_json_is_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "m")
    (folder / "config.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match=r"an object in JSON in .*config.json"):
        open_checkpoint(str(folder))


@pytest.mark.parametrize("name", ["../elsewhere/model.safetensors", "/etc/passwd", "sub/../../x.safetensors"])
def test_an_index_of_weights_cannot_name_files_elsewhere(tmp_path: Path, name: str) -> None:
    folder = write_checkpoint(tmp_path / "m")
    (tmp_path / "elsewhere").mkdir()
    (folder / "model.safetensors").rename(tmp_path / "elsewhere" / "model.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": name}}))
    with pytest.raises(InputError, match="files in the folder of the checkpoint"):
        find_weights(folder)
    with pytest.raises(InputError):
        open_checkpoint(str(folder))
