"""Many fits in one process: nothing is compiled after the first ones, and memory does not grow."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json, resource, sys, warnings
warnings.simplefilter("ignore")
import jax, numpy as np, pandas as pd
import csvjax

compiled = []
jax.monitoring.register_event_duration_secs_listener(
    lambda name, seconds, **more: compiled.append(name) if name.endswith("backend_compile_duration") else None)

def dataset(seed):
    rng = np.random.default_rng(seed)
    flops = np.geomspace(1e20, 1e24, 12)
    skill = np.log10(flops / 1e22) + rng.normal(0, 0.2, 12)
    score = 0.9 / (1 + np.exp(-skill[:, None] * [0.8, 1.2] + rng.normal(0, 0.3, (12, 2))))
    names = tuple(f"m{i}" for i in range(12))
    known = {"family": list("abcd") * 3, "params": np.nan, "tokens": np.nan, "flops": flops}
    lms = pd.DataFrame(known, index=list(names))
    return csvjax.Dataset(lms, csvjax.ScoreTable(names, ("a", "b"), np.clip(score, 0.01, 0.99)))

def rss():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

rows = []
for number in range(int(sys.argv[1])):
    before = len(compiled)
    law = csvjax.Law(capabilities=1, covariates=("flops",))
    fit = csvjax.fit(dataset(number), law, method=csvjax.Laplace(draws=50))
    csvjax.predict(fit).table()
    rows.append((len(compiled) - before, rss()))
print(json.dumps(rows))
"""


def fits(count: int) -> list[tuple[int, int]]:
    """The programs that each fit compiled, and the memory after it in bytes."""
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_COMPILATION_CACHE_DIR": ""}
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(count)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [(compiled, memory) for compiled, memory in json.loads(done.stdout.splitlines()[-1])]


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is read from Linux' /proc")
@pytest.mark.parametrize("count", [6, pytest.param(100, marks=pytest.mark.slow)])
def test_fits_after_the_first_compile_nothing_and_keep_no_memory(count: int) -> None:
    rows = fits(count)
    assert rows[0][0] > 3  # otherwise nothing was counted
    assert [compiled for compiled, _ in rows[2:]] == [0] * (count - 2)
    grown = rows[-1][1] - rows[2][1]
    assert grown < 16e6 + 2e5 * count, f"{grown / 1e6:.0f} MB in {count - 3} fits"
