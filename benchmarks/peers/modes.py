"""Modes of one table of the law: ours and scipy's from the same starts, 64 starts against one, and how cost grows.

    python -m benchmarks.peers.modes scipy|starts|growth LMS BENCHMARKS FAMILIES CAPABILITIES STARTS

Prints seconds, compilation excluded, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize

from benchmarks.peers.law_table import law_table
from csvjax.infer import Map, fit
from csvjax.law.density import Density
from csvjax.law.model import Evidence

PLAIN = Map(starts=1, finalists=1, curved=0)  # no whole Hessian, but that of each benchmark


def solver(density: Density, method: Map) -> Any:
    return jax.jit(lambda e, x: method.solve_from(density, e, x[None]))


def against_scipy(density: Density, e: Evidence, starts: int) -> dict[str, Any]:
    """Both end where no component of the gradient exceeds 1e-4, with a memory of 20 steps."""
    slope = jax.jit(jax.value_and_grad(density.potential))
    ours = solver(density, PLAIN)

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, grad = slope(x, e)
        return float(value), np.asarray(grad)

    rows = []
    for number in range(starts + 1):
        start = 0.5 * density.start(jax.random.key(number), e)
        began, cpu = time.perf_counter(), time.process_time()
        mine = jax.block_until_ready(ours(e, start))
        mine_seconds, mine_cpu = time.perf_counter() - began, time.process_time() - cpu
        began, cpu = time.perf_counter(), time.process_time()
        options: Any = {"maxiter": 3000, "maxfun": 6000, "maxcor": 20, "ftol": 0.0, "gtol": 1e-4}
        theirs = minimize(objective, np.asarray(start), jac=True, method="L-BFGS-B", options=options)
        seconds, used = time.perf_counter() - began, time.process_time() - cpu
        if number:  # the first one compiles
            end = float(mine.potential), float(theirs.fun)
            steps = int(mine.steps[0]), int(theirs.nfev)
            rows.append((mine_seconds, seconds, mine_cpu, used, *steps, *end, bool(mine.converged)))
    table = np.array(rows, float)
    same = np.abs(table[:, 6] - table[:, 7]) < 1e-3
    assert np.any(same), table
    total = table[same].sum(axis=0)
    return {
        "speedup": total[1] / total[0],
        "speedup_cpu": total[3] / total[2],
        "same_end": int(same.sum()),
        "starts": starts,
        "seconds": total[0] / same.sum(),
        "evaluations": total[4] / same.sum(),
        "scipy_seconds": total[1] / same.sum(),
        "scipy_evaluations": total[5] / same.sum(),
        "lower_than_scipy": int(np.sum(table[:, 6] < table[:, 7] - 1e-3)),
        "higher_than_scipy": int(np.sum(table[:, 6] > table[:, 7] + 1e-3)),
    }


def many_starts(density: Density, e: Evidence, starts: int) -> dict[str, Any]:
    """CPU seconds of `Map` with one start and with many, the second of two fits each; three keys."""
    found: dict[str, Any] = {}
    for count in (1, starts):
        method = Map(starts=count)
        fit(density, e, method, jax.random.key(0))
        began, cpu = time.perf_counter(), time.process_time()
        fits = [fit(density, e, method, jax.random.key(1 + i)) for i in range(3)]
        found[f"seconds_{count}"] = (time.perf_counter() - began) / 3
        found[f"cpu_seconds_{count}"] = (time.process_time() - cpu) / 3
        found[f"potential_{count}"] = [round(float(one.diagnostics["potential"]), 3) for one in fits]
    return found | {"cost": found[f"cpu_seconds_{starts}"] / found["cpu_seconds_1"]}


def growth(density: Density, e: Evidence, starts: int) -> dict[str, Any]:
    """Milliseconds of a gradient, and seconds of a mode without and with its curvature."""
    slope = jax.jit(jax.value_and_grad(density.potential))
    x = 0.5 * density.start(jax.random.key(0), e)
    began = time.perf_counter()
    slope(x, e)[0].block_until_ready()
    found: dict[str, Any] = {"n": len(x), "compile_seconds": time.perf_counter() - began}
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < 3:
        slope(x, e)[0].block_until_ready()
        count += 1
    found["gradient_ms"] = 1e3 * (time.perf_counter() - began) / count
    ours = solver(density, PLAIN).lower(e, x).compile()
    began = time.perf_counter()
    mode = jax.block_until_ready(ours(e, x))
    found |= {"map_seconds": time.perf_counter() - began, "map_evaluations": int(mode.steps[0])}
    return found | {"map_converged": bool(mode.converged)}


def main() -> None:
    what, *numbers = sys.argv[1:]
    lms, benchmarks, families, capabilities, starts = map(int, numbers)
    jax.config.update("jax_enable_x64", True)
    warnings.simplefilter("ignore")
    density, e = law_table(lms, benchmarks, families, capabilities)
    run = {"scipy": against_scipy, "starts": many_starts, "growth": growth}[what]
    found = run(density, jax.tree.map(jnp.asarray, e), starts)
    print(json.dumps({"lms": lms, "benchmarks": benchmarks, "capabilities": capabilities} | found))


if __name__ == "__main__":
    main()
