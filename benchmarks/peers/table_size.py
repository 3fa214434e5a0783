"""One part of `benchmarks.table_sizes` in a process of its own; its figures as a JSON object on the last line."""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.peers.law_table import law_table
from csvjax.baselines import find_methods
from csvjax.baselines.law import dataset_of
from csvjax.compiled import jit_by_size
from csvjax.data.dataset import Dataset, align
from csvjax.data.read_scores import read_scores
from csvjax.evaluate.protocols.benchpress import figures, read_benchpress, view_of
from csvjax.infer import Laplace, Map
from csvjax.infer.api import fit
from csvjax.law.density import Density, law_density
from csvjax.law.evidence import make_evidence
from csvjax.law.model import Evidence, Law
from csvjax.law.predictive import draw_pieces
from experiments.benchpress import fractions, units_of


def gradient(lms: int, benchmarks: int, families: int) -> dict[str, Any]:
    """Of the density at a start, the least of twenty; and the CPU seconds of the first call, which compiles."""
    density, e = law_table(lms, benchmarks, families, 1)
    x = 0.5 * density.start(jax.random.key(0), e)
    slope = jit_by_size(lambda pair: jax.value_and_grad(lambda x: density.potential(x, pair[1]))(pair[0]))
    began = time.process_time()
    jax.block_until_ready(slope((x, e)))
    first, times = time.process_time() - began, []
    for _ in range(20):
        began = time.perf_counter()
        jax.block_until_ready(slope((x, e)))
        times.append(time.perf_counter() - began)
    return {"parameters": len(x), "ms": 1e3 * min(times), "compile_cpu_s": first}


def _drawn(density: Density, e: Evidence, law: Law, method: Laplace) -> tuple[dict[str, Any], np.ndarray]:
    began = time.process_time()
    found = fit(density, e, method, jax.random.key(0))
    fitted = time.process_time() - began
    pieces = draw_pieces(density, law.tail, e, found.draws, jax.random.key(1))
    score = np.concatenate([np.asarray(piece.score, np.float32) for piece in pieces])
    told = {"status": str(found.status), "parameters": len(found.mode), "fit_cpu_s": fitted}
    return told, score


def matrix(data: str) -> dict[str, Any]:
    matrix = read_benchpress(Path(data) / "benchpress")
    hidden = matrix.folds[0]
    shown = ~np.isnan(matrix.score) & ~hidden
    units, kept = units_of(matrix, shown), shown.any(axis=0)
    began = time.process_time()
    law = Law(2, (), (), tail=0.25)
    table = dataset_of(*[fractions(view_of(matrix, shown), units, kept)] * 2, False)
    assert table.scores is not None
    e = make_evidence(table, np.isfinite(table.scores.score), law)[0]
    told, score = _drawn(law_density(law), e, law, Laplace(draws=400, map=Map(starts=4, finalists=1)))
    seconds = time.process_time() - began
    draws = np.full((len(score), *matrix.score.shape), np.nan)
    draws[:, :, kept] = score
    draws = units.back(draws)
    cells = np.nonzero(hidden & kept)
    its = draws[:, cells[0], cells[1]]
    ours = figures(matrix, cells, np.median(its, axis=0), *np.quantile(its, [0.05, 0.95], axis=0))
    began = time.process_time()
    als = find_methods(["logit-als"])["logit-als"]
    fitted = als.fit(view_of(matrix, shown), jax.random.key(0))
    fitted.draws(view_of(matrix, shown), jax.random.key(1), 400)
    return {"matrix_cpu_s": seconds, **told, "figures": ours, "als_cpu_s": time.process_time() - began}


def leaderboard(data: str) -> dict[str, Any]:
    scores, lms = read_scores(Path(data) / "latent_law" / "open-llm-leaderboard_old.csv")
    table: Dataset = align(lms, scores)
    began = time.process_time()
    law = Law(2, (), ())
    e = make_evidence(table, np.isfinite(scores.score), law)[0]
    told, score = _drawn(law_density(law), e, law, Laplace(draws=100, map=Map(starts=4, finalists=1)))
    error = np.abs(score.mean(axis=0) - scores.score)
    return {
        "leaderboard_cpu_s": time.process_time() - began, **told, "models": len(lms),
        "mean_absolute_residual": float(np.nanmean(error)),
    }  # fmt: skip


def main() -> None:
    what, *arguments = sys.argv[1:]
    jax.config.update("jax_enable_x64", True)
    warnings.simplefilter("ignore")
    if what == "gradient":
        found = gradient(*map(int, arguments))
    else:
        found = {"matrix": matrix, "leaderboard": leaderboard}[what](*arguments)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
