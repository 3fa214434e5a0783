"""The prediction problems of observational scaling laws: Ruan et al. 2024 (arXiv 2405.10938), sections 4.1 to 4.3.

The tables are those of github.com/ryoungj/ObsScaling, commit 4d6e1e43fd26, folder eval_results. Models are held out by
training compute (emergent, post-training) or by their score (agents); rows without the target are dropped first.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from csvjax.data.dataset import Dataset
from csvjax.data.read_scores import read_scores
from csvjax.data.scores import ScoreTable
from csvjax.evaluate.protocols.problem import Problem
from csvjax.evaluate.splits import Fold
from csvjax.names import positions

__all__ = ["AGENTS", "EMERGENT", "POST_TRAINING", "agents", "emergent", "post_training"]


@dataclass(frozen=True)
class Target:
    """A benchmark to predict.

    Attributes:
        column: its column in the table of scores.
        floor: score of random guessing, a fraction.
        top: the value in the table that is a score of 1.
        cutoff: largest training compute of the training rows, in FLOP.
        gsm8k: whether GSM8K is among the predictors.
        items: number of items; every score is a multiple of 1 / items; NaN for other scores.
    """

    column: str
    floor: float = 0.0
    top: float = 1.0
    cutoff: float = 84e21
    gsm8k: bool = True
    items: float = float("nan")


def _arithmetic(name: str) -> Target:
    return Target(f"arithmetic_{name}_2_acc", cutoff=22e21, gsm8k=False, items=2000.0)


def _gsm8k(name: str) -> Target:
    return Target(f"gsm8k_{name}flexible-extract", gsm8k=False, items=500.0)


EMERGENT = {
    "Word Unscramble": Target("word_unscrambling_2_exact_match", items=2000.0),
    "Persian QA": Target("parsinlu_qa_2_acc", floor=0.25, items=1050.0),
    "3-digit subtraction": _arithmetic("3ds"),
    "2-digit multiplication": _arithmetic("2dm"),
    "3-digit addition": _arithmetic("3da"),
    "2-digit addition": _arithmetic("2da"),
    "IPA transliterate": Target("ipa_transliterate_2_bleu", top=100.0),
}
POST_TRAINING = {
    "GSM8K 5-shot, greedy": _gsm8k("5_exact_match,"),
    "GSM8K CoT": _gsm8k("cot_8_exact_match,"),
    "GSM8K CoT, 1 sample": _gsm8k("cot_self_consistency_8_exact_match,score-first-"),
    "GSM8K CoT + self-consistency@5": _gsm8k("cot_self_consistency_8_exact_match,maj@5-"),
}
AGENTS = {
    "AgentBench overall": Target("ABench-OA", top=10.0),
    "AgentBoard success rate": Target("ABoard-Avg_SR", top=100.0),
}

_SOURCE = "arXiv 2405.10938; github.com/ryoungj/ObsScaling 4d6e1e43fd26"
_BASE = ("MMLU", "ARC-C", "HellaSwag", "Winograd", "TruthfulQA", "GSM8K", "XWinograd", "HumanEval")
_INSTRUCT = ("MMLU", "ARC-C", "HellaSwag", "Winogrande", "TruthfulQA", "GSM8K", "HumanEval")
_FAMILIES = (
    *("Llama-2", "Llama", "Llama-3", "Qwen1.5", "Qwen", "Mistral", "Mixtral", "Yi", "Gemma", "Falcon", "Phi"),
    *("Pythia", "BLOOM", "GPT-Neo/J", "OPT", "MPT", "XGLM", "CodeLlama", "StarCoder", "StarCoder2", "DeepSeek-Coder"),
)
_LATER_FAMILIES = ("Llama-3.1", "Qwen2", "DeepSeek-V2", "DeepSeek-Coder-V2", "Yi-1.5", "Gemma-2", "Jamba")
# Later models of earlier families.
_LATER_MODELS = ("Qwen/Qwen1.5-110B", "mistralai/Mixtral-8x22B-v0.1", "mistralai/Mistral-Nemo-Base-2407")
_WITHOUT_FLOPS = ("Mistral", "Mixtral", "Qwen2")
_ROUNDING = 1 + 1e-9  # 84 in units of 1e21 is 84e21


def emergent(folder: str | os.PathLike[str], name: str, later: bool = False) -> Problem:
    """The problem of one of `EMERGENT`. `later` adds models released after the paper to the rows to predict.

    Families without published FLOPs are left out.
    """
    target = EMERGENT[name]
    lms, scores = _joined(folder, "base_llm_benchmark_eval.csv", "base_llm_emergent_capability_eval.csv", target, _BASE)
    kept = _evaluated(lms, later) & ~lms["family"].isin(_WITHOUT_FLOPS)
    return _cut(f"{name} + later models" if later else name, target, lms, scores, kept)


def post_training(folder: str | os.PathLike[str], name: str) -> Problem:
    """The problem of one of `POST_TRAINING`. A model whose FLOPs are unknown is a row to predict."""
    target = POST_TRAINING[name]
    lms, scores = _joined(folder, "base_llm_benchmark_eval.csv", "base_llm_post_training_eval.csv", target, _BASE)
    return _cut(name, target, lms, scores, _evaluated(lms, later=False))


def agents(folder: str | os.PathLike[str], name: str) -> Problem:
    """The problem of one of `AGENTS`: predict the tenth of the models with the highest scores."""
    target = AGENTS[name]
    lms, scores = _joined(folder, "instruct_llm_benchmark_eval.csv", "instruct_llm_agent_eval.csv", target, _INSTRUCT)
    score = scores.score[:, -1]
    best = np.argsort(-score, kind="stable")[: len(score) // 10]
    test = np.isin(np.arange(len(score)), best)
    return Problem(name, _SOURCE, Dataset(lms, scores), Fold(name, ~test, test), (target.column,))


def _joined(
    folder: str | os.PathLike[str], benchmarks: str, targets: str, target: Target, predictors: tuple[str, ...]
) -> tuple[pd.DataFrame, ScoreTable]:
    """The models with a score on the target, in the order of the table of benchmarks; the target is the last column."""
    folder = Path(folder)
    predictors = tuple(p for p in predictors if target.gsm8k or p != "GSM8K")
    first, lms = read_scores(folder / benchmarks, benchmarks=predictors)
    second, _ = read_scores(folder / targets, benchmarks=[target.column], score_unit=1 / target.top)
    known = [name for name, score in zip(second.lms, second.score[:, 0], strict=True) if not np.isnan(score)]
    both = [name for name in first.lms if name in set(known)]
    score = np.hstack([first.select(lms=both).score, second.select(lms=both).score])
    floor = np.append(np.zeros(len(predictors)), target.floor)
    items = np.append(np.full(len(predictors), np.nan), target.items)
    return lms.loc[both], ScoreTable(tuple(both), (*predictors, target.column), score, items, floor)


def _evaluated(lms: pd.DataFrame, later: bool) -> pd.Series:
    """The models of the paper, and with `later` also the models released after it."""
    after = lms["family"].isin(_LATER_FAMILIES) | lms.index.isin(_LATER_MODELS)
    return (lms["family"].isin(_FAMILIES) & ~after) | (after & later)


def _cut(name: str, target: Target, lms: pd.DataFrame, scores: ScoreTable, kept: pd.Series) -> Problem:
    rows = list(lms.index[kept.to_numpy()])
    dataset = Dataset(lms.iloc[positions(rows, scores.lms, "lm")], scores.select(lms=rows))
    train = (dataset.lms["flops"] <= target.cutoff * _ROUNDING).to_numpy()
    return Problem(name, _SOURCE, dataset, Fold(name, train, ~train), (target.column,))
