from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from csvjax.errors import InputError
from csvjax.evaluate.reliability import Kind, reliability

X = np.linspace(0, 1, 60)
RNG = np.random.default_rng(0)
CASES: list[tuple[Kind, np.ndarray]] = [
    ("predictable", 0.2 + 0.5 / (1 + np.exp(-8 * (X - 0.5))) + 0.01 * RNG.standard_normal(60)),
    ("inverse", 0.6 - 0.4 * X + 0.02 * RNG.standard_normal(60)),
    ("no trend", 0.25 + 0.02 * RNG.standard_normal(60)),
    ("no trend", np.full(60, 0.3)),
    ("not monotone", 0.3 + 1.2 * (X - 0.5) ** 2 + 0.01 * RNG.standard_normal(60)),
    ("breakthrough", np.where(X > 0.85, 0.6, 0.01) + 0.005 * RNG.random(60)),
    ("noisy", 0.3 + 0.1 * X + 0.05 * RNG.standard_normal(60)),
]


@pytest.mark.parametrize(("kind", "score"), CASES)
def test_tasks_are_sorted_by_how_they_scale(kind: Kind, score: np.ndarray) -> None:
    shuffled = np.random.default_rng(1).permutation(60)
    assert reliability(X[shuffled], score[shuffled]).kind == kind


def test_unknown_scores_are_left_out() -> None:
    score = CASES[0][1].copy()
    score[::3] = np.nan
    assert reliability(X, score).kind == "predictable"
    with pytest.raises(InputError, match="at least 5 models"):
        reliability(X[:4], score[:4])


def test_of_46_tasks_fewer_than_half_are_predictable(public_data: Path) -> None:
    """Lourie et al. 2025 (arXiv 2507.00885) find 18 of these 46 predictable by eye; these rules find 15."""
    frame = pd.read_csv(public_data / "losses" / "openlm_scaling_104.csv")
    scale = -frame["loss|c4_val"].to_numpy(float)
    kinds = {c: reliability(scale, frame[c].to_numpy(float)).kind for c in frame if c.startswith("acc|")}
    assert len(kinds) == 46
    assert 12 <= sum(kind == "predictable" for kind in kinds.values()) <= 23
    assert kinds["acc|hellaswag"] == kinds["acc|arc_easy"] == kinds["acc|lambada_openai"] == "predictable"
    assert kinds["acc|agi_eval_lsat_ar"] == "no trend"
