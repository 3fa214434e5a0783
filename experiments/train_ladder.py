"""Train the ladder, score it, and write the files that the package ships.

    python -m experiments.train_ladder --out runs/ladder          24 runs, 144 checkpoints; see below for the time
    python -m experiments.train_ladder --quick --out runs/quick   6 runs, 18 checkpoints, a minute, no download

Text comes from Debian 12 packages (`csvjax/lms/ladder/sources.py` names them with their licences) and is fetched with
`apt-get download`; no root is needed. Six mixtures of five domains, four sizes, six checkpoints along each run. A killed
call goes on where it was when it is given again, and its checkpoints are the same to the bit.

`--ship` copies the result into `csvjax/data/ladder`, from where `csvjax.load_ladder()` reads it.

Expected (2 cores of an AMD EPYC, two processes of one thread): 170 s for the corpus, 40 minutes for training, 15 minutes
for the scores of 144 models on 13 tasks and their losses on 26,000 tokens.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import typer

from csvjax.cli.progress import LadderProgress
from csvjax.ladder_data import PACKAGED, save_ladder
from csvjax.lms.ladder import build, collect
from csvjax.lms.ladder.recipe import FULL, QUICK


def main(out: Path = Path("runs/ladder"), quick: bool = False, jobs: int = 2, ship: bool = False) -> None:
    recipe = QUICK if quick else FULL
    start = time.time()
    with LadderProgress() as progress:
        build.prepare(recipe, out, progress)
        build.train_all(recipe, out, jobs, progress)
        collect.score_all(recipe, out, jobs, progress)
    dataset = collect.collect(recipe, out)
    save_ladder(dataset, PACKAGED if ship else out / "data")
    figures = {
        "checkpoints": len(dataset.lms),
        "benchmarks": len(dataset.measured()[0].benchmarks),
        "tokens": len(dataset.measured()[1].units),
        "minutes": round((time.time() - start) / 60, 1),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    typer.run(main)
