"""Methods of inference on one density: their price, and that of the peers.

    python -m benchmarks.fit_methods --data FOLDER --out runs/fit_methods
    python -m benchmarks.fit_methods --quick --only modes --out runs/quick

Every part runs in processes of its own, JAX on the CPU, BLAS on one thread, no cache of compilations. Tables are made
by the law itself (`benchmarks/peers/law_table.py`), which is the density of all of them.

Figures (last line): sloth_v1_cpu_seconds, of a process that fits the Sloth baseline with 3 capabilities to all 19
problems of Sloth v1 with one model seen, imports and compilation included (the published code takes some 40 CPU
seconds for each; sloth_v1_mae is the error, in points). map_speedup_scipy, time of scipy's L-BFGS-B by that of `Map`
without Hessians, on 100 models and 10 benchmarks with 2 capabilities, same gradient, same ten starts, same ends to
1e-3 (asserted of those compared), compilation excluded. multistart_cost, CPU seconds of `Map` with 64 starts by those
with one. ess_ratio_nutpie and ess_ratio_blackjax, effective draws (bulk, median over parameters) for each CPU second
of `Nuts`, search of the mode and warm-up included, by that of the peers, whose adaptation is their own; 60 models and
6 benchmarks, 2 chains of 400 steps of warm-up and 400 draws. Then milliseconds of a gradient by size.

Measured (2 cores, other work running):

    figure                  asked for   measured
    sloth_v1_cpu_seconds    <= 40       15.6   (error 5.39 points; 223 before BLAS was kept to one thread)
    map_speedup_scipy       >= 1        1.23   (0.85 s and 1.05 s; 340 and 333 evaluations; all ten ends alike)
    multistart_cost         < 6         4.4    (4.7 and 1.1 CPU seconds; 24 when all starts were followed side by side)
    ess_ratio_nutpie        >= 1        7.5    (least instead of median over parameters: 3.2)
    ess_ratio_blackjax      >= 1        9.0    (3.3)

    sampler     CPU s   effective draws of 800, median   least   per CPU s   largest r-hat
    csvjax      19.6    933                              223     47.7        1.024
    nutpie      46.2    292                              162      6.3        1.022
    blackjax    52.2    276                              180      5.3        1.015

Means of all 36 parameters agree within 3.3 standard errors of the difference (nutpie; 2.0 for blackjax). Ours moves in
units of the curvature at the mode from its first step; the peers learn theirs. nutpie calls the compiled gradient from
Python, and that overhead is in its seconds.

    models x benchmarks, families    parameters   gradient   mode without curvature
    100 x 10, 20                     56           4.7 ms     0.28 s (148 evaluations)
    300 x 20, 60                     106          44 ms      12 s (497)
    1,000 x 50, 200                  256          1.6 s      not run (some 15 minutes at as many evaluations)

One capability, another process running. Every step towards the mode of the field inverts a matrix of benchmarks + 1 for
each family.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.environment import ROOT, interpreter
from csvjax.errors import InputError
from csvjax.infer.convergence import bulk_ess, rhat
from experiments.running import once

PARTS = ("sloth", "modes", "growth", "samplers")


def sampler_python() -> Path:
    """The interpreter of `.venv-samplers`: csvjax as it is here, with the same JAX, and the peers."""
    same = [f"{name}=={version(name)}" for name in ("jax", "numpyro", "numpy")]
    return interpreter(".venv-samplers", (f"--editable={ROOT}", *same, "nutpie==0.16.8", "blackjax==1.7.1"))


def ask(python: Path | str, module: str, *arguments: object) -> dict[str, Any]:
    """The JSON object that a process prints last."""
    command = [str(python), "-m", f"benchmarks.peers.{module}", *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    # One thread of BLAS: threads that spin for vectors of a hundred numbers would burden the peers, and them alone.
    environment |= {"JAX_PLATFORMS": "cpu", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def modes(quick: bool) -> dict[str, Any]:
    size, starts = ((12, 4, 4, 1), 3) if quick else ((100, 10, 20, 2), 10)
    return {
        "scipy": ask(sys.executable, "modes", "scipy", *size, starts),
        "starts": ask(sys.executable, "modes", "starts", *size, 8 if quick else 64),
    }


def growth(quick: bool, folder: Path) -> list[dict[str, Any]]:
    """A file for each size: the largest takes as long as all else."""
    sizes = ((12, 4, 4), (24, 4, 8)) if quick else ((100, 10, 20), (300, 20, 60), (1000, 50, 200))
    return [
        once(
            folder / f"growth {size[0]} x {size[1]}.json",
            lambda s=size: ask(sys.executable, "modes", "growth", *s, 1, 1),
        )
        for size in sizes
    ]


def samplers(quick: bool) -> dict[str, Any]:
    """Each sampler with its own adaptation and settings but for the numbers of chains, warm-up steps and draws."""
    size, steps = ((12, 4, 4), (2, 100, 100)) if quick else ((60, 6, 12), (2, 400, 400))
    found: dict[str, Any] = {}
    means = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("csvjax", "nutpie", "blackjax"):
            path = Path(folder) / f"{name}.npy"
            python = sys.executable if name == "csvjax" else sampler_python()
            one = ask(python, "samplers", name, *size, *steps, path)
            x = np.load(path)
            ess, r = bulk_ess(x), rhat(x)
            means[name] = x.mean(axis=(0, 1)), x.std(axis=(0, 1)) / np.sqrt(np.maximum(ess, 1))
            one |= {"ess_median": float(np.median(ess)), "ess_least": float(ess.min()), "rhat": float(r.max())}
            found[name] = one | {"ess_per_second": float(np.median(ess)) / one["cpu_seconds"]}
    ours, error = means["csvjax"]
    for name in ("nutpie", "blackjax"):
        theirs, other = means[name]
        found[name]["largest_difference"] = float(np.max(np.abs(ours - theirs) / np.hypot(error, other)))
    return found


def main(
    data: Annotated[Path, typer.Option(envvar="CSVJAX_DATA")] = Path("data"),
    out: Path = Path("runs/fit_methods"),
    quick: bool = False,
    only: str = "",
) -> None:
    """`only`: parts, separated by commas: sloth, modes, growth, samplers. A part found in `out` is not run again."""
    asked = [part for part in PARTS if part in (only or part).split(",")]
    if only and len(asked) < len(only.split(",")):
        raise InputError(f"expected parts among {', '.join(PARTS)}, found {only!r}; separate them by commas")
    figures: dict[str, float] = {}
    make: dict[str, Callable[[], Any]] = {
        "sloth": lambda: ask(sys.executable, "sloth_v1", data / "sloth" / "data_v2.csv", 2 if quick else 99, 3),
        "modes": lambda: modes(quick),
        "growth": lambda: growth(quick, out),
        "samplers": lambda: samplers(quick),
    }
    for part in asked:
        found = once(out / f"{part}{'-quick' if quick else ''}.json", make[part])
        print(json.dumps({part: found}, indent=1), file=sys.stderr)
        if part == "sloth":
            figures |= {"sloth_v1_cpu_seconds": found["cpu_seconds"], "sloth_v1_mae": found["mae"]}
        if part == "modes":
            figures |= {"map_speedup_scipy": found["scipy"]["speedup"], "multistart_cost": found["starts"]["cost"]}
        if part == "growth":
            figures |= {f"gradient_ms_{g['lms']}x{g['benchmarks']}": g["gradient_ms"] for g in found}
        if part == "samplers":
            mine = found["csvjax"]["ess_per_second"]
            figures |= {f"ess_ratio_{n}": mine / found[n]["ess_per_second"] for n in ("nutpie", "blackjax")}
    print(json.dumps(figures))


if __name__ == "__main__":
    typer.run(main)
