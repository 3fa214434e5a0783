"""The salience law against the mean loss, on models of the ladder that were held out.

    python -m experiments.salience_ladder --out runs/salience_ladder
    python -m experiments.salience_ladder --quick --out runs/quick

Claim (Ge et al. 2025, arXiv 2506.13216): models trained on other mixtures of text have the same mean loss and other
abilities; weighing the validation tokens restores predictability. Here the 144 checkpoints of the shipped ladder are
predicted three times: each of the six mixtures from the other five, the largest size from the three smaller ones, the
last two checkpoints of every run from the first four. Prior strengths are chosen by splits of the same kind inside the
training rows. Both laws are one density; the mean loss holds the salience at zero.

Figures (last line): r2_gain, mean over tasks with a signal of R2(salience) - R2(mean loss), held-out mixtures;
worst_task_gain, the least of these gains; coverage90_mixture, _size, _checkpoint, share of held-out scores inside the
salience law's 90 % interval; crps_ratio, CRPS of salience over that of the mean loss, held-out mixtures;
arithmetic_in_synthetic and code_in_code, the share of salience of the sum and of the code tasks that lies in synthetic
text and in code. A task has a signal if a quarter of all models score above chance by two standard errors.
"""

from __future__ import annotations

import json
from pathlib import Path

import typer

from csvjax.demo import run_demo


def main(out: Path = Path("runs/salience_ladder"), quick: bool = False, seed: int = 0) -> None:
    figures = run_demo(out, seed=seed, quick=quick)
    print(json.dumps(figures))


if __name__ == "__main__":
    typer.run(main)
