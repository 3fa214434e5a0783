"""The law at the sizes that tables have: what a user waits for, in CPU seconds.

    CSVJAX_DATA=tables python -m benchmarks.table_sizes --out runs/table_sizes
    CSVJAX_DATA=tables python -m benchmarks.table_sizes --only small --out runs/table_sizes

Every part runs in processes of its own, JAX on the CPU. `small`: `csvjax fit` and `csvjax predict` on 18 models and 8
benchmarks, one capability, by Laplace with an empty cache of compiled programs (cold_cpu_s) and with a full one
(warm_cpu_s); `csvjax fit` by its default, NUTS, with an empty cache (nuts_cpu_s); `csvjax --help`, the best of five
(help_s, wall). `matrix`: the 84 x 133 table of BenchPress, first stored fold, 17 % of the cells seen, two capabilities,
t residuals: mode, curvature and 400 draws of all cells (matrix_cpu_s), beside the completion of BenchPress by logit
bias ALS with its intervals (als_cpu_s). `leaderboard`: 6,811 models and 6 benchmarks of the Open LLM Leaderboard, two
capabilities, mode and predictions (leaderboard_cpu_s). `gradient`: milliseconds of a gradient at three sizes
(gradient_ms at 1,000 models, 50 benchmarks, 200 families), and the exponent of its growth with the cells.

Measured (2 cores, each part on one; `small` with the other idle, the others with it busy):

    figure          asked for   measured
    cold_cpu_s      <= 20       27.5   (fit 20.9, predict 6.7; the fit alone took 32 before one program drew everything)
    warm_cpu_s      <= 6        13.3   (fit 10.1, predict 3.2: two times 2 s of imports, loading programs, draws; 20.8
                                       before lowered programs were kept: nothing is traced any more; 14.8 before log
                                       scores were compiled with more effort)
    nuts_cpu_s      <= 60       48.2
    help_s          <= 0.35     0.29
    gradient_ms     <= 30       137
    exponent        1           1.19

    size         parameters   gradient   first call
    100 x 10             56      1.8 ms   9 CPU s
    1000 x 50           256    137.3 ms   6 CPU s
    5000 x 40           206    959.9 ms   6 CPU s

What was gained: the transpose of a gather is a gather (26 scatters went), the sums over models of what is known of a
benchmark became one product, factorials have a cheap derivative: 67 to 45 ms for the field of 1,000 x 50 x 200 alone.
Of the gradient's 137 ms, 87 are the field's mode, 24 steps of which 13 are for one family of 200. Steps with the exact
curvature near the mode took 11, and 80 ms in all; they were given up, because two fits of the demo then did not
converge (they end in shallow modes beside the path).
What is left are some forty sums over models in which XLA computes the terms anew, and the steps (3 ms each). Not
run to its end: leaderboard. Matrix, by Laplace: 97 CPU seconds (fit 73, 400 draws of all cells 24; asked were 60),
4.15 points of median absolute error, 82 % inside 20.8 wide; beside it logit ALS with its intervals, 13 CPU seconds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from experiments.running import once

PARTS = ("small", "gradient", "matrix", "leaderboard")
SIZES = ((100, 10, 20), (1000, 50, 200), (5000, 40, 1000))
COMMAND = (sys.executable, "-m", "csvjax.cli")


def _cpu(command: list[str], cache: str) -> float:
    """CPU seconds of a process and what it started."""
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XDG_CACHE_HOME": cache}
    before = os.times()
    subprocess.run(command, env=environment, capture_output=True, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def small_table(path: Path) -> None:
    """18 models of six families, 8 benchmarks, the two largest models blank; made by the law itself."""
    import jax

    from benchmarks.peers.law_table import law_table

    with jax.enable_x64(True):
        e = law_table(18, 8, 6, 1)[1]
    frame = pd.DataFrame(np.asarray(e.score).round(4), columns=[f"benchmark {b}" for b in range(8)])
    frame = frame.where(np.asarray(e.seen))
    frame.insert(0, "model", [f"m{i:02d}" for i in range(18)])
    frame.insert(1, "family", [f"f{i % 6}" for i in range(18)])
    frame.insert(2, "flops", 10 ** (21 + np.asarray(e.covariate)[:, 0]))
    frame.iloc[-2:, 3:] = np.nan
    frame.to_csv(path, index=False)


def small() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder, "scores.csv")
        small_table(table)

        def seconds(cache: str, run: str, *options: str) -> float:
            fit = ["fit", "--scores", str(table), "--capabilities", "1", *options, "--out", f"{folder}/{run}"]
            return _cpu([*COMMAND, *fit], f"{folder}/{cache}")

        def predict(cache: str, run: str) -> float:
            return _cpu([*COMMAND, "predict", f"{folder}/{run}", "--flops", "1e23"], f"{folder}/{cache}")

        laplace = "--method", "laplace"
        found = {"cold_fit": seconds("a", "cold", *laplace), "cold_predict": predict("a", "cold")}
        found |= {"warm_fit": seconds("a", "warm", *laplace), "warm_predict": predict("a", "warm")}
        found |= {"nuts_cpu_s": seconds("b", "nuts"), "help_s": min(_help() for _ in range(5))}
    cold, warm = (found[f"{name}_fit"] + found[f"{name}_predict"] for name in ("cold", "warm"))
    return found | {"cold_cpu_s": cold, "warm_cpu_s": warm}


def _help() -> float:
    began = time.perf_counter()
    subprocess.run([*COMMAND, "--help"], capture_output=True, check=True)
    return time.perf_counter() - began


def gradient() -> dict[str, Any]:
    found = {}
    for lms, benchmarks, families in SIZES:
        found[f"{lms} x {benchmarks}"] = json.loads(_in_process("gradient", str(lms), str(benchmarks), str(families)))
    cells = [lms * benchmarks for lms, benchmarks, _ in SIZES]
    exponent = np.polyfit(np.log(cells), np.log([row["ms"] for row in found.values()]), 1)[0]
    return {"sizes": found, "gradient_ms": found["1000 x 50"]["ms"], "exponent": float(exponent)}


def _in_process(*arguments: str) -> str:
    command = [sys.executable, "-m", "benchmarks.peers.table_size", *arguments]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_ENABLE_COMPILATION_CACHE": "0"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr[-3000:]}")
    return done.stdout.splitlines()[-1]


def main(
    data: Annotated[Path, typer.Option(envvar="CSVJAX_DATA")] = Path("data"),
    out: Path = Path("runs/table_sizes"),
    only: str = "",
) -> None:
    """`only`: parts, separated by commas: small, gradient, matrix, leaderboard. What `out` has is not run again."""
    figures: dict[str, Any] = {}
    for part in only.split(",") if only else PARTS:
        make = {"small": small, "gradient": gradient}.get(part) or (
            lambda part=part: json.loads(_in_process(part, str(data)))
        )
        found = once(out / f"{part}.json", make)
        print(json.dumps({part: found}, indent=1), file=sys.stderr)
        figures |= {name: value for name, value in found.items() if isinstance(value, float)}
    print(json.dumps(figures))


if __name__ == "__main__":
    typer.run(main)
