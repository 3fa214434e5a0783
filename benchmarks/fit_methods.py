"""Methods of inference on one joint density: their price, and that of the peers.

    python -m benchmarks.fit_methods --data FOLDER --out runs/fit_methods
    python -m benchmarks.fit_methods --quick --only modes --out runs/quick

DOCSTRING
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.environment import ROOT, interpreter
from csvjax.atomic import replacing
from csvjax.errors import InputError
from csvjax.fit.convergence import bulk_ess, rhat

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


def growth(quick: bool) -> list[dict[str, Any]]:
    sizes = ((12, 4, 4), (24, 4, 8)) if quick else ((100, 10, 20), (300, 20, 60), (1000, 50, 200))
    return [ask(sys.executable, "modes", "growth", *size, 1, 1) for size in sizes]


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
    for part in asked:
        kept = out / f"{part}{'-quick' if quick else ''}.json"
        if not kept.exists():
            if part == "sloth":
                found: Any = ask(sys.executable, "sloth_v1", data / "sloth" / "data_v2.csv", 2 if quick else 99, 3)
            else:
                found = {"modes": modes, "growth": growth, "samplers": samplers}[part](quick)
            with replacing(kept) as file:
                file.write_text(json.dumps(found, indent=1), encoding="utf-8")
        found = json.loads(kept.read_text(encoding="utf-8"))
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
