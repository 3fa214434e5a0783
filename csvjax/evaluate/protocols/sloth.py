"""The problems of Sloth: predict larger models of a family from its smallest models and from other families.

Maia Polo et al. 2024 (arXiv 2412.06540), section 4; github.com/felipemaiapolo/sloth, commit 6dc6bb3efeef, file
data/data_v2.csv. A base family is held out together with the families tuned from it; the smallest one or two models of
each stay in training. The published error is the mean over the held-out groups of the mean absolute error.
"""

from __future__ import annotations

import os
from typing import Literal

import numpy as np
import pandas as pd

from csvjax.data.dataset import Dataset
from csvjax.data.read_scores import read_scores
from csvjax.evaluate.protocols.problem import Problem
from csvjax.evaluate.splits import Fold

__all__ = ["BENCHMARKS", "Leaderboard", "sloth_problems"]

Leaderboard = Literal["v1", "v2", "all"]

_V1 = ("MMLU", "ARC", "HellaSwag", "Winogrande", "TruthfulQA", "GSM8K")
_V2 = ("IFEval", "BBH", "MATH Lvl 5", "GPQA", "MUSR", "MMLU-PRO")
BENCHMARKS: dict[Leaderboard, tuple[str, ...]] = {"v1": _V1, "v2": _V2, "all": _V1 + _V2}
_CHANCE = {
    "MMLU": 0.25,
    "ARC": 0.25,
    "HellaSwag": 0.25,
    "Winogrande": 0.5,
    "TruthfulQA": 0.31,
    "BBH": 0.28850360952061127,
    "GPQA": 0.25,
    "MUSR": 0.34329805996472657,
    "MMLU-PRO": 0.1,
}

# Groups of families, separated by blanks; the families of a group are joined by "+".
_HELD_OUT: dict[tuple[Leaderboard, int], str] = {
    ("v1", 1): """
        bloom codegen-nl codellama deepseek-coder-base pythia+dolly-v2 falcon gemma+gemma-it+sauerkrautlm-gemma
        gpt-j-neo-neox internlm2 meta-llama-3+meta-llama-3-instruct mpt+mpt-chat+mpt-instruct olmo opt qwen2 rwkv-4-pile
        starcoder2 stablelm-base-alpha xglm yi-1.5+yi-1.5-chat+dolphin-2.9.1-yi-1.5""",
    ("v2", 1): """
        bloom pythia+dolly-v2 falcon+falcon-instruct gemma-2+gemma-2-it gpt-j-neo-neox
        meta-llama-3+meta-llama-3-instruct+llama-3-sauerkrautlm-instruct olmo opt
        qwen2+qwen2-instruct+dolphin-2.9.2-qwen2 starcoder2 smollm+smollm-instruct
        yi-1.5+yi-1.5-chat+dolphin-2.9.1-yi-1.5""",
    ("all", 1): """
        bloom pythia+dolly-v2 falcon gemma+gemma-it+sauerkrautlm-gemma gpt-j-neo-neox meta-llama-3+meta-llama-3-instruct
        olmo opt qwen2 starcoder2 yi-1.5+yi-1.5-chat+dolphin-2.9.1-yi-1.5""",
    ("v1", 2): """
        bloom codellama deepseek-coder-base falcon gpt-j-neo-neox llama-2+llama-2-chat open_llama_ opt pythia
        qwen1.5+qwen1.5-chat qwen2 rwkv-4-pile starcoder2 xglm yi-1.5+yi-1.5-chat""",
    ("v2", 2): """
        bloom llama-2+llama-2-chat orca_mini_v3_ pythia+dolly-v2 qwen1.5+qwen1.5-chat qwen2+qwen2-instruct
        smollm+smollm-instruct starcoder2 yi-1.5+yi-1.5-chat""",
    ("all", 2): "bloom llama-2+llama-2-chat pythia qwen1.5+qwen1.5-chat qwen2 starcoder2 yi-1.5+yi-1.5-chat",
}


def sloth_problems(
    path: str | os.PathLike[str], leaderboard: Leaderboard, smallest: Literal[1, 2]
) -> tuple[Problem, ...]:
    """One problem for each held-out group of families.

    Models without size, tokens or a score are dropped, then families with at most `smallest` models.

    Args:
        path: the table.
        leaderboard: version of the Open LLM Leaderboard whose benchmarks are used, or "all".
        smallest: number of the smallest models of each held-out family that are seen.
    """
    benchmarks = BENCHMARKS[leaderboard]
    floors = {name: _CHANCE.get(name, 0.0) for name in benchmarks}
    scores, lms = read_scores(path, family_column="Family2", benchmarks=benchmarks, floors=floors)
    whole = lms[["params", "tokens", "flops"]].notna().all(axis=1).to_numpy() & ~np.isnan(scores.score).any(axis=1)
    kept = lms[whole].sort_values(["family", "params"], kind="stable")
    kept = kept[kept.groupby("family")["family"].transform("size") > smallest]
    dataset = Dataset(kept, scores.select(lms=list(kept.index)))
    rank = kept.groupby("family").cumcount()
    return tuple(
        _problem(leaderboard, smallest, dataset, rank, group) for group in _HELD_OUT[leaderboard, smallest].split()
    )


def _problem(leaderboard: Leaderboard, smallest: int, dataset: Dataset, rank: pd.Series, group: str) -> Problem:
    name = f"Sloth {leaderboard}, {smallest} seen: {group}"
    test = (dataset.lms["family"].isin(group.split("+")) & (rank >= smallest)).to_numpy()
    source = "arXiv 2412.06540; github.com/felipemaiapolo/sloth 6dc6bb3efeef"
    return Problem(name, source, dataset, Fold(name, ~test, test), BENCHMARKS[leaderboard])
