"""The memory that draws need, and the estimate of `csvjax.memory`.

    python -m benchmarks.memory
    python -m benchmarks.memory --one 1000,20,400,50

Each size is measured in a process of its own: the parameters of a fit are made up, and its scores are drawn, labelled,
saved and summarised as `csvjax fit` and `csvjax predict` do. A small table comes first, so that programs of libraries
are there; what follows is the growth of the largest resident memory. `--limit BYTES` lets the process have that much
more data than after the small table (RLIMIT_DATA).

Last line, for each size: lms, benchmarks, draws, piece, grown_mb, estimate_mb, whole_mb (the largest resident memory),
whole_estimate_mb.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from csvjax.data.dataset import Dataset
from csvjax.data.scores import ScoreTable
from csvjax.law.model import Law
from csvjax.memory import bytes_for, drawing
from csvjax.prediction import unseen
from tests.result.conftest import frame, written

__all__ = ["measure"]

_SIZES = ("300,10,400,50", "1000,20,400,50", "1000,20,1600,50", "3000,40,400,50", "3000,40,400,1")
_LAW = Law(capabilities=2, effects=("family",))


def _table(lms: int, benchmarks: int) -> tuple[Dataset, np.ndarray]:
    """Models in families of ten, of which one in twenty has no scores to fit."""
    names = [f"m{i}" for i in range(lms)]
    score = np.random.default_rng(0).binomial(200, 0.5, (lms, benchmarks)) / 200
    table = ScoreTable(tuple(names), tuple(f"b{i}" for i in range(benchmarks)), score)
    seen = np.ones(score.shape, bool)
    seen[::20] = False
    rows = frame(names, [f"f{i // 10}" for i in range(lms)], 10 ** np.linspace(20, 24, lms))
    return Dataset(rows, table), seen


def _draw(lms: int, benchmarks: int, draws: int, piece: int) -> pd.DataFrame:
    with drawing(piece), tempfile.TemporaryDirectory() as folder:
        fit = written(*_table(lms, benchmarks), _LAW, draws)
        fit.save(Path(folder))
        return unseen(fit)


def _status(name: str) -> int:
    """Bytes from /proc: VmData, as RLIMIT_DATA counts them, or VmHWM, the largest resident memory so far. The ru_maxrss
    of a process includes what its parent had when it was started.
    """
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name)]
    return int(line.split()[1]) * 1024


def measure(lms: int, benchmarks: int, draws: int, piece: int, limit: int | None = None) -> dict[str, float]:
    """What one size needs, in this process. Raises: MemoryError, or an error of XLA, if the limit is too small."""
    _draw(30, 3, 400, piece)
    before = _status("VmHWM")
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (_status("VmData") + limit, resource.RLIM_INFINITY))
    _draw(lms, benchmarks, draws, piece)
    whole = _status("VmHWM")
    cells = lms * benchmarks
    estimate = bytes_for(draws, cells, piece)
    sizes = {
        "grown": whole - before,
        "estimate": estimate - bytes_for(0, 0),
        "whole": whole,
        "whole_estimate": estimate,
    }
    given = {"lms": lms, "benchmarks": benchmarks, "draws": draws, "piece": piece}
    return given | {f"{name}_mb": round(size / 2**20, 1) for name, size in sizes.items()}


def main(
    one: Annotated[str, typer.Option(help="Models, benchmarks, draws, and draws at once.")] = "",
    limit: Annotated[int | None, typer.Option(help="Bytes.")] = None,
) -> None:
    """One size here, or all sizes in processes of their own."""
    if one:
        typer.echo(json.dumps(measure(*map(int, one.split(",")), limit)))
        return
    for size in _SIZES:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.memory", "--one", size], stdout=subprocess.PIPE, text=True, check=True
        )
        typer.echo(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    typer.run(main)
