"""What a user says of models, and what the headers of their checkpoints say."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from csvjax.data.checkpoint_size import read_size
from csvjax.data.models import read_models
from csvjax.data.read_scores import read_tables
from csvjax.data.rules import ReadingRules
from csvjax.errors import InputError

FRAME = pd.DataFrame(
    {
        "model": ["a", "org/b", "c", "d"],
        "params": [1e9, 2e9, np.nan, 4e9],
        "tokens": [1e11, 1e11, np.nan, 1e11],
        "flops": [np.nan, 5e21, np.nan, np.nan],
        "x": [0.2, 0.3, 0.4, 0.5],
    }
)
TEXT = """
[a]
family = "A"
tokens = 2e11
released = 2024-05-01
[b]
aliases = ["org/b"]
params = 3e9
[c]
params = 8e9
active_params = 1e9
tokens = 1e12
[absent]
params = 1
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "models.toml"
    path.write_text(text)
    return path


def test_what_is_told_goes_before_the_table_and_the_rest_stays(tmp_path: Path) -> None:
    found = read_tables([FRAME], ReadingRules(models=read_models(write(tmp_path, TEXT))))
    lms = found.lms
    assert list(lms["family"]) == ["A", "org/b", "c", "d"]
    np.testing.assert_array_equal(lms["params"], [1e9, 3e9, 8e9, 4e9])
    np.testing.assert_array_equal(lms["tokens"], [2e11, 1e11, 1e12, 1e11])
    # 6 N D of the new tokens; measured, so kept; 6 N D of the active parameters; as before.
    np.testing.assert_allclose(lms["flops"], [6 * 1e9 * 2e11, 5e21, 6 * 1e9 * 1e12, 6 * 4e9 * 1e11])
    assert list(lms["release date"].dropna()) == ["2024-05-01"]
    assert any("'absent'" in sentence for sentence in found.described.said)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a = 3", "begin it with"),
        ("[a]\nparam = 1", "the nearest is 'params'"),
        ("[a]\nparams = 0", "a number above 0"),
        ("[a]\nparams = '7B'", "a number above 0"),
        ("[a]\nfamily = 3", "expected family to be text"),
        ("[a]\naliases = ['b']\n[b]", "'b' for 'a' and for 'b'"),
        ("[a]\ncheckpoint = 'nowhere'", "found none in"),
        ("a]", "expected TOML"),
    ],
)
def test_a_faulty_file_is_refused_with_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_models(write(tmp_path, text))


def checkpoint(folder: Path, tensors: dict[str, Any], config: dict[str, Any] | None = None) -> Path:
    """A folder with the header of a safetensors file, and no weights behind it."""
    folder.mkdir(exist_ok=True)
    header = {
        name: told if isinstance(told, dict) else {"dtype": "BF16", "shape": told} for name, told in tensors.items()
    }
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_sizes_are_those_of_the_headers(tmp_path: Path) -> None:
    dense = checkpoint(tmp_path / "dense", {"embed.weight": [100, 8], "h.0.attn.bias": [1, 1, 64, 64], "norm": [8]})
    assert read_size(dense) == (808, 1.0)
    experts = {f"layers.0.mlp.experts.{i}.w": [10, 10] for i in range(8)}
    tensors = {"embed": [100, 10], **experts, "layers.0.mlp.shared_expert.w": [10, 10]}
    sparse = checkpoint(tmp_path / "sparse", tensors, {"num_experts_per_tok": 2, "num_local_experts": 8})
    size = read_size(sparse)
    assert size.params == 1900
    assert size.share * size.params == pytest.approx(1000 + 200 + 100)
    (model,) = read_models(write(tmp_path, "[m]\ncheckpoint = 'sparse'\ntokens = 1e12"))
    assert (model.params, model.active_params) == (1900, pytest.approx(1300))
    (told,) = read_models(write(tmp_path, "[m]\ncheckpoint = 'sparse'\nparams = 2000"))
    assert told.params == 2000


@pytest.mark.parametrize(
    ("tensors", "config", "says"),
    [
        ({"w": {"dtype": "I32", "shape": [8]}}, None, "not quantised, found I32"),
        ({"w": [8]}, {"quantization_config": {"bits": 4}}, "not quantised, found quantization_config"),
        ({"a.experts.0.w": [8]}, {}, "give active_params"),
        ({"w": {"dtype": "F32"}}, None, "without a shape"),
    ],
)
def test_sizes_that_cannot_be_known_are_refused(tmp_path: Path, tensors: Any, config: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_size(checkpoint(tmp_path, tensors, config))


def test_a_damaged_header_is_told(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    for data in (b"", b"\xff" * 16, struct.pack("<Q", 4) + b"abcd"):
        path.write_bytes(data)
        with pytest.raises(InputError, match="download it again"):
            read_size(tmp_path)
