"""The problem of the latent law (arXiv 2512.06553): predict eleven large models of six families from smaller models.

github.com/felipemaiapolo/statistical-scaling-law, commit ec189676fb1f: 285 models of 170 families on twelve benchmarks
of the Open LLM Leaderboard. A fine-tuned sibling is a family of its own. Test models and models derived from
them are left out of training. The published error is the mean absolute error over the test models and benchmarks.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd

from csvjax.data.dataset import Dataset
from csvjax.data.scores import ScoreTable
from csvjax.evaluate.protocols.problem import Problem
from csvjax.evaluate.splits import Fold

__all__ = ["latent_law_problem"]

_KEYS = ["model", "family", "size", "tokens", "flops"]
_UNITS = {"size": 1e9, "tokens": 1e12, "flops": 1e21}
_EDGE = 1e-3


def latent_law_problem(folder: str | os.PathLike[str]) -> Problem:
    """The split of the paper. Models derived from a test model are in neither part.

    Scores are clipped to [0.001, 0.999], as published. The second row of a model is called "NAME (2)".
    """
    tables = [pd.read_csv(Path(folder) / f"df_full_v{n}.csv", index_col=0) for n in (1, 2)]
    frame = tables[0].merge(tables[1], on=_KEYS, how="outer")
    told = json.loads((Path(folder) / "protocol.json").read_text(encoding="utf-8"))
    count = frame.groupby("model").cumcount()
    names = frame["model"].where(count == 0, frame["model"] + " (" + (count + 1).astype(str) + ")")
    score = np.clip(frame[told["benchmarks"]].to_numpy(float), _EDGE, 1 - _EDGE)
    test, left_out = (
        frame["model"].isin([name for group in told[key].values() for name in group]).to_numpy()
        for key in ("test_models", "left_out_of_training")
    )
    lms = pd.DataFrame(
        {
            "family": frame["family"].astype(str).to_numpy(),
            "params": frame["size"].to_numpy(float) * _UNITS["size"],
            "tokens": frame["tokens"].to_numpy(float) * _UNITS["tokens"],
            "flops": frame["flops"].to_numpy(float) * _UNITS["flops"],
        },
        pd.Index(names, name="lm", dtype=str),
    )
    targets = tuple(str(name) for name in told["benchmarks"])
    floor = np.array([told["chance"][name] for name in targets])
    dataset = Dataset(lms, ScoreTable(tuple(lms.index), targets, score, floor=floor))
    return Problem("latent law", "arXiv 2512.06553; " + told["source"], dataset, Fold("test", ~left_out, test), targets)
