"""Train the ladder, score it, and write the files that the package ships.

    python -m experiments.train_ladder --out runs/ladder          24 runs, 144 checkpoints; see below for the time
    python -m experiments.train_ladder --quick --out runs/quick   6 runs, 18 checkpoints, a minute, no download
    python -m experiments.train_ladder --seed 1 --out runs/fresh  another order, other weights and tasks

Text comes from Debian 12 packages (`csvjax/ladder/sources.py` names them with their licences) and is fetched with
`apt-get download`; no root is needed. Six mixtures of five domains, four sizes, six checkpoints along each run. A
killed call goes on where it was when it is given again, and its checkpoints are the same to the bit.

The files in OUT/data, copied into `csvjax/ladder/files`, are what `csvjax.load_ladder()` reads.

Measured on 2 cores of an AMD EPYC that had other work to do as well: 3 minutes for the corpus, 38 for training, 18 for
the scores of 144 models on 13 tasks and their losses on 26,560 tokens. The ladder that ships was made so.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import typer

from csvjax.cli.ladder import build_ladder


def main(out: Path = Path("runs/ladder"), quick: bool = False, jobs: int = 2, seed: int = 0) -> None:
    """Train the ladder, score it, and write the files that the package ships; resumable."""
    start = time.time()
    dataset = build_ladder(out, quick, jobs, seed)
    scores, losses = dataset.measured()
    figures = {
        "checkpoints": len(dataset.lms),
        "benchmarks": len(scores.benchmarks),
        "tokens": len(losses.units),
        "minutes": round((time.time() - start) / 60, 1),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    typer.run(main)
