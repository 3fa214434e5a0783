"""Quantised checkpoints are refused for what they are, before any weight is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from csvjax.errors import InputError
from csvjax.lms.checkpoint import open_checkpoint
from tests.lms.small import write_checkpoint

Q = "model.layers.0.self_attn.q_proj"
Weights = dict[str, np.ndarray]


def gptq(weights: Weights) -> None:
    del weights[f"{Q}.weight"]
    weights[f"{Q}.qweight"] = np.zeros((2, 16), np.int32)


def nf4(weights: Weights) -> None:
    weights[f"{Q}.weight"] = np.zeros((128, 1), np.uint8)
    weights[f"{Q}.weight.absmax"] = np.zeros(4, np.float32)


def mlx(weights: Weights) -> None:
    weights[f"{Q}.weight"] = np.zeros((16, 2), np.uint32)
    weights[f"{Q}.scales"] = np.zeros((16, 1), np.float16)


def int8(weights: Weights) -> None:
    weights[f"{Q}.weight"] = np.zeros((16, 16), np.int8)


def fp8(weights: Weights) -> None:
    weights[f"{Q}.weight"] = np.zeros((16, 16), ml_dtypes.float8_e4m3fn)


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, r"a quantization_config in .* \(by gptq\)"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, r"\(by bitsandbytes\)"),
        ({"quantization": {"group_size": 64, "bits": 4}}, r"a quantization in .* \(to 4 bits\)"),
        ({"compression_config": {"format": "int-quantized"}}, r"\(by int-quantized\)"),
        ({"text_config": {"quantization_config": {"quant_method": "fp8"}}}, r"\(by fp8\)"),
    ],
)
def test_a_configuration_that_says_so_is_refused(tmp_path: Path, said: dict[str, object], says: str) -> None:
    folder = write_checkpoint(tmp_path / "lm")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | said))
    with pytest.raises(InputError, match=f"not quantised, found {says if says[0] == 'a' else '.*' + says}"):
        open_checkpoint(str(folder))


@pytest.mark.parametrize(
    ("change", "tensor", "kind"),
    [
        (gptq, f"{Q}.qweight", "I32"),
        (nf4, f"{Q}.weight.absmax", "F32"),
        (mlx, f"{Q}.scales", "F16"),
        (int8, f"{Q}.weight", "I8"),
        (fp8, f"{Q}.weight", "F8_E4M3"),
    ],
)
def test_weights_that_are_packed_are_refused_whatever_the_configuration_says(
    tmp_path: Path, change: Callable[[Weights], None], tensor: str, kind: str
) -> None:
    folder = write_checkpoint(tmp_path / "lm")
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(InputError, match=rf"the quantised tensor {tensor} \({kind}\); give the checkpoint"):
        open_checkpoint(str(folder))
