"""Salience at the size of a corpus: speed against plain reading of memory and disk, and the time of whole fits.

    python -m benchmarks.salience_scale --out runs/salience_scale
    python -m benchmarks.salience_scale --quick --out runs/quick

Losses are drawn at random: models with two abilities, one of which shows on a quarter of the text, and scores of one
benchmark that follow that part. Speeds are of CPU time where nothing is read from a disk, so that other work on the
machine does not count, and every figure is the median of rounds in turn with the sum that it is compared with.

Figures (last line): bandwidth_share, bytes that value and gradient read (the losses twice) by their time, over the same
of a plain jitted sum, 100 models x 10^6 units in float32; sixteen_bit_gain, time of value and gradient in float32 over
that in float16; store_share, the speed of value and gradient from a packed corpus in float16 over that of reading it
alone, in a process whose memory is limited to less than the corpus, with the operating system's copy dropped before
each pass; exponent, of the time from 10^4 to 10^7 units (1 is linear; 20 models); map_seconds, the mode of the law
with its components on all units; gram_seconds, the Gram matrix, NUTS, and the salience of all units, of 100 x 10^6.

Measured on one core of a machine that other work shared (load 5 on 2 cores), jax 0.10.2; the fits in a run of their own
on the other core, after sums over chunks were made float64:

    figure             asked for    measured
    bandwidth_share    >= 0.85       0.95     (a plain sum: 21.5 GB/s of CPU time)
    sixteen_bit_gain   >= 1.6        1.31     (see below)
    store_share        >= 0.70       0.89     (2.0 GB, data of the process limited to 1 GB, read at 1.9 GB/s; again, one
                                              round on a busier machine: 0.82 at 1.0 GB/s, peak memory 0.75 GB)
    exponent           1             0.87     (0.6 ms, 2.2 ms, 12.8 ms, 270 ms: calls cost 0.5 ms; from 10^5 on 1.05)
    map_seconds        <= 60         21.9     (19.5 CPU seconds, 126 evaluations, converged)
    gram_seconds       <= 60         25.8     (23.0 CPU seconds; the matrix 1.2; r-hat 1.05, 2 chains of 250 draws)

In the run before, whose fits shared their core and had chunks of all units, map_seconds was 96 (rounding ended the
search) and gram_seconds 97. The quarter of the text that made the scores gets 84 % of the salience at the mode, and in
the Gaussian posterior 3.28 (deviation 0.24) times its share of the bytes, where 4 would be all.

What falls short. In float16 the forward product takes half the time of float32 (9.4 against 17 ms), and the backward
one as long as in float32 (15.7 ms): on one core it waits for conversions, not for memory. Runs of 4,096 units (rows
one after the other) bring it to 10.8 ms and the forward product to 20 ms. Not measured: a GPU, several devices' speed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import typer

from csvjax.data.dataset import align
from csvjax.data.scores import ScoreTable
from csvjax.infer.nuts import Nuts
from csvjax.law.model import MANY_UNITS, Law, Priors
from csvjax.scale.components import component_z, fit_components
from csvjax.scale.corpus import Corpus, in_memory
from csvjax.scale.gaussian import fit_gaussian, unit_salience
from csvjax.scale.gram import gram
from csvjax.scale.packed import create, open_packed
from csvjax.scale.stream import pulled, salient_losses
from csvjax.scale.target import Target, target_of

LAW = Law(capabilities=0, covariates=(), effects=(), priors=Priors(strength=MANY_UNITS))


def made(lms: int, units: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Losses [lm, unit] in nats, one byte to a unit, and scores of 1000 items [lm]."""
    rng = np.random.default_rng(seed)
    able, part = rng.normal(size=(2, lms)).astype(np.float32)
    level = rng.uniform(1.0, 5.0, units).astype(np.float32)
    here = np.where(np.arange(units) < units // 4, 1.0, -1 / 3).astype(np.float32)
    loss = np.empty((lms, units), np.float32)
    for m in range(lms):
        noise = rng.standard_normal(units, np.float32)
        loss[m] = np.maximum(level - 0.1 * able[m] - 0.1 * part[m] * here + 0.3 * noise, 0)
    shown = able + part
    return loss, rng.binomial(1000, 1 / (1 + np.exp(-shown))) / 1000


def target(corpus: Corpus, score: np.ndarray, mean: np.ndarray) -> Target:
    one = np.ones(1)
    table = ScoreTable(corpus.lms, ("benchmark",), score[:, None], 1000 * one, 0 * one, one)
    return target_of(align(scores=table), "benchmark", LAW, corpus.lms, mean)


def gradient(corpus: Corpus, z: np.ndarray, g: np.ndarray) -> None:
    jax.block_until_ready(pulled(corpus, z, salient_losses(corpus, z), g))


def in_turn(rounds: int, **programs: Callable[[], Any]) -> dict[str, float]:
    """Median CPU seconds of each program."""
    found: dict[str, list[float]] = {name: [] for name in programs}
    for i in range(rounds + 1):
        for name, program in programs.items():
            begun = time.process_time()
            jax.block_until_ready(program())
            if i:  # the first compiles
                found[name].append(time.process_time() - begun)
    return {name: float(np.median(times)) for name, times in found.items()}


def memory(loss: np.ndarray, rounds: int) -> dict[str, float]:
    lms, units = loss.shape
    names, size = tuple(map(str, range(lms))), np.ones(units, int)
    rng = np.random.default_rng(1)
    z, g = rng.normal(size=(1, units)).astype(np.float32), rng.normal(size=(lms, 1)).astype(np.float32)
    flat, half = in_memory(names, loss, size), in_memory(names, loss, size, np.float16)
    plain, add = jax.device_put(loss), jax.jit(jnp.sum)
    spent = in_turn(
        rounds,
        sum=lambda: add(plain),
        float32=lambda: gradient(flat, z, g),
        float16=lambda: gradient(half, z, g),
    )
    return {
        "sum_gb_per_s": loss.nbytes / spent["sum"] / 1e9,
        "bandwidth_share": 2 * spent["sum"] / spent["float32"],
        "sixteen_bit_gain": spent["float32"] / spent["float16"],
    }


def exponent(sizes: list[int], rounds: int) -> dict[str, Any]:
    rng, spent = np.random.default_rng(2), []
    for units in sizes:
        corpus = in_memory(tuple(map(str, range(20))), rng.random((20, units), np.float32), np.ones(units, int))
        z, g = np.zeros((1, units), np.float32), np.ones((20, 1), np.float32)
        repeat = max(1, 10**6 // units)

        def several(corpus: Corpus = corpus, z: np.ndarray = z, g: np.ndarray = g, repeat: int = repeat) -> None:
            for _ in range(repeat):
                gradient(corpus, z, g)

        spent.append(in_turn(rounds, program=several)["program"] / repeat)
    slope = np.polyfit(np.log(sizes), np.log(spent), 1)[0]
    return {"exponent": float(slope), "seconds_by_units": dict(zip(map(str, sizes), spent, strict=True))}


def fits(loss: np.ndarray, score: np.ndarray, quick: bool) -> dict[str, Any]:
    lms, units = loss.shape
    corpus = in_memory(tuple(map(str, range(lms))), loss, np.ones(units, int), chunk=16_384)
    told: dict[str, Any] = {}
    with timed(told, "map"):
        found = gram(corpus)
        aim = target(corpus, score, found.mean)
        mode = fit_components(corpus, aim, LAW)
    z = component_z(corpus, mode.c)
    weight = np.exp(z - z.max())
    told |= {"map_status": str(mode.status), "map_evaluations": mode.evaluations}
    told |= {"map_share_of_quarter": float(weight[: units // 4].sum() / weight.sum())}
    print(told, flush=True)
    with timed(told, "gram"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its status is in the figures
        with timed(told, "gram_matrix"):
            found = gram(corpus)
        method = Nuts(warmup=150, draws=50 if quick else 250, chains=2, rhat=1.1, ess=10)
        fit = fit_gaussian(aim, found, LAW, method)
        known = unit_salience(corpus, fit, (np.arange(units) >= units // 4).astype(int))
    told |= {"nuts_status": str(fit.status)}
    return told | {"quarter_factor": known.set_factor[0], "quarter_deviation": known.set_deviation[0]}


@contextmanager
def timed(told: dict[str, Any], name: str) -> Iterator[None]:
    """Wall and CPU seconds of the block."""
    wall, own = time.perf_counter(), time.process_time()
    yield
    told[f"{name}_seconds"] = time.perf_counter() - wall
    told[f"{name}_cpu_seconds"] = time.process_time() - own


def from_store(place: Path, rounds: int) -> dict[str, float]:
    """In a process of its own: value and gradient, and reading alone, wall time in turn."""
    corpus = open_packed(place, np.ones(json.loads((place / "corpus.json").read_text())["units"], int))
    z, g = np.zeros((1, corpus.units), np.float32), np.ones((len(corpus.lms), 1), np.float32)
    file = os.open(place / "loss.bin", os.O_RDONLY)
    spent: dict[str, list[float]] = {"read": [], "gradient": []}

    def reading() -> None:
        for _ in range(2):
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            for _ in corpus.chunks():
                pass

    def computing() -> None:
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        sums = salient_losses(corpus, z)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        pulled(corpus, z, sums, g)

    for i in range(rounds + 1):
        for name, program in (("read", reading), ("gradient", computing)):
            begun = time.perf_counter()
            program()
            if i:
                spent[name].append(time.perf_counter() - begun)
    size = (place / "loss.bin").stat().st_size
    read, value = (float(np.median(spent[name])) for name in ("read", "gradient"))
    # Not of `getrusage`, which begins with the peak of the process that started this one.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak = 1024 * int(status["VmHWM"].split()[0])
    return {
        "store_share": read / value,
        "read_gb_per_s": 2 * size / read / 1e9,
        "store_gb": size / 1e9,
        "peak_gb": peak / 1e9,
    }


def store(lms: int, units: int, limit: int, rounds: int) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        create(place, tuple(map(str, range(lms))), units, "float16", 65_536, lambda _: rng.random(units, np.float32))
        code = (
            "import json, resource, sys; from pathlib import Path; "
            f"resource.setrlimit(resource.RLIMIT_DATA, ({limit}, {limit})); "
            "from benchmarks.salience_scale import from_store; "
            f"print(json.dumps(from_store(Path(sys.argv[1]), {rounds})))"
        )
        done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return json.loads(done.stdout.splitlines()[-1]) | {"limit_gb": limit / 1e9}


def main(out: Path = Path("runs/salience_scale"), quick: bool = False) -> None:
    """Measure, and print the figures as one line of JSON."""
    lms, units = (20, 50_000) if quick else (100, 1_000_000)
    rounds = 2 if quick else 7
    loss, score = made(lms, units)
    figures: dict[str, Any] = {"models": lms, "units": units, "cpus": len(os.sched_getaffinity(0))}
    steps: tuple[Callable[[], dict[str, Any]], ...] = (
        lambda: memory(loss, rounds),
        lambda: exponent([10**4, 10**5] if quick else [10**4, 10**5, 10**6, 10**7], 2 if quick else 3),
        lambda: fits(loss, score, quick),
        lambda: store(lms, units if quick else 10 * units, 2 * 10**9 if quick else 10**9, 1 if quick else 3),
    )
    for step in steps:
        found = step()
        figures |= found
        print(pd.Series(found).to_string(), flush=True)
    out.mkdir(parents=True, exist_ok=True)
    (out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures))


if __name__ == "__main__":
    typer.run(main)
