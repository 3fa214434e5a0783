"""The loss of a document against lm-evaluation-harness, run on the same checkpoint."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from csvjax.data.read_losses import read_losses
from csvjax.lms.checkpoint import open_checkpoint
from csvjax.losses.extract import LossOptions, extract
from csvjax.losses.text import Document
from tests.lms.small import byte_level, write_checkpoint

TEXTS = ["the theme of them and the other things that they say in the end " * 9, "schön 日本 🙂\r\nthe end", "t"]
CONTEXT = 48


@pytest.mark.slow
def test_sums_over_documents_are_those_of_loglikelihood_rolling(tmp_path: Path) -> None:
    """With windows that do not overlap but for the last one, and the first token after the beginning of text."""
    from benchmarks.torch_environment import torch_python

    lm = write_checkpoint(tmp_path / "lm", tokenizer=byte_level(), initializer_range=0.3)
    documents = [Document("a", str(i), text) for i, text in enumerate(TEXTS)]
    extract([open_checkpoint(str(lm))], documents, tmp_path / "s.zarr", LossOptions(CONTEXT, CONTEXT, chunk=50))
    table = read_losses(tmp_path / "s.zarr")
    ours = [-table.loss[0][(table.units["document"] == d.name).to_numpy()].sum(dtype=np.float64) for d in documents]
    (tmp_path / "texts.json").write_text(json.dumps(TEXTS))
    script = Path(__file__).parent.parent / "lms" / "reference" / "lm_eval_rolling.py"
    command = [torch_python(), script, lm, tmp_path / "texts.json", str(CONTEXT)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    np.testing.assert_allclose(ours, json.loads(said.splitlines()[-1]), rtol=1e-4)
