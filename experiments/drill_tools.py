"""What fault drills are made of: commands that are begun, killed and run again, and results that are compared."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from csvjax.data.read_losses import read_losses
from csvjax.errors import InputError
from tests.lms.small import write_checkpoint

__all__ = [
    *("Ended", "Work", "again", "begin", "children", "end", "files", "jumping_clock", "kill_child", "prepare"),
    *("same_comparison", "same_losses", "same_store", "write_scores"),
]

_LONGEST = 300.0  # seconds until a command counts as stuck


class Ended(NamedTuple):
    """What became of a command: its exit code, and the last lines that it wrote."""

    code: int
    out: str
    err: str


class Work(NamedTuple):
    """What all drills run on.

    Attributes:
        folder: models, text and scores; `once.zarr` and `once` are the undisturbed results.
        losses_s, compare_s: seconds of an undisturbed command.
    """

    folder: Path
    losses_s: float
    compare_s: float

    def losses(self, store: Path | str, *more: str) -> list[str]:
        lms = [f"--lm={self.folder / name}" for name in ("m0", "m1")]
        sizes = ["--context=80", "--stride=8", "--batch=160", "--chunk=16"]
        return ["losses", *lms, f"--text={self.folder / 'text'}", f"--out={store}", *sizes, *more]

    def compare(self, out: Path, *more: str) -> list[str]:
        given = ["--split", "families:6", "--methods", "family-mean,last-known,log-flops"]
        return ["compare", "--scores", str(self.folder / "scores.csv"), *given, "--out", str(out), *more]


def write_scores(path: Path) -> None:
    """24 models of six families on two benchmarks, which follow one ability."""
    rng = np.random.default_rng(0)
    size = np.tile([1, 3, 10, 30], 6)
    ability = 0.5 * np.log(size) + np.repeat(rng.normal(0, 0.5, 6), 4)
    frame = pd.DataFrame({"model": [f"m{i}" for i in range(24)], "family": np.repeat(list("abcdef"), 4)})
    frame = frame.assign(flops=size * 1e20, easy=1 / (1 + np.exp(-ability)), hard=1 / (1 + np.exp(2 - ability)))
    frame.to_csv(path, index=False)


def prepare(folder: Path) -> Work:
    """Models, a text, a table of scores, and the results of undisturbed commands."""
    for seed in (0, 1):
        write_checkpoint(folder / f"m{seed}", seed)
    (folder / "text").mkdir()
    (folder / "text" / "long.txt").write_text("the theme of them and the other things that they say " * 80)
    write_scores(folder / "scores.csv")
    plain, took = Work(folder, 0, 0), []
    for command in (
        plain.losses(folder / "warm.zarr"),
        plain.losses(folder / "once.zarr"),
        plain.compare(folder / "once"),
    ):
        begun = time.monotonic()
        ended = end(begin(command))
        if ended.code:
            raise InputError(f"expected an undisturbed command to succeed, found {ended.err[-300:]}; mend it first")
        took.append(time.monotonic() - begun)
    return Work(folder, took[1], took[2])


# Limits the size of a file in the new process itself: code between fork and exec may hang beside the threads of JAX.
_STARVED = """
import os, resource, sys
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


def begin(
    command: list[str], limit: int | None = None, within: Sequence[str] = (), **environment: str
) -> subprocess.Popen[str]:
    """Start a csvjax command. limit: no file can grow beyond this size. within: a command that runs it."""
    starved = [] if limit is None else ["-c", _STARVED, str(limit)]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [*within, sys.executable, *starved, "-m", "csvjax.cli", *command], stdout=pipe, stderr=pipe, text=True,
        env=os.environ | environment, start_new_session=True,
    )  # fmt: skip


# Python reads this module when it starts. Each jump adds a line to a file, so that a drill knows that there were some.
_JUMPING = """
import os, random, time
real, off, rng = time.time, [0.0], random.Random()
def jumping():
    if rng.random() < 0.2:
        off[0] = rng.uniform(-1e8, 1e8)
        with open(os.environ["CLOCK_JUMPS"], "a") as file:
            file.write(f"{off[0]}\\n")
    return real() + off[0]
time.time, time.time_ns = jumping, lambda: int(jumping() * 1e9)
"""


def jumping_clock(folder: Path) -> dict[str, str]:
    """The environment of a command in which Python's clock jumps by up to three years in both directions."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_JUMPING)
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))
    return {"PYTHONPATH": path, "CLOCK_JUMPS": str(folder / "jumps")}


def end(process: subprocess.Popen[str]) -> Ended:
    try:
        out, err = process.communicate(timeout=_LONGEST)
    except subprocess.TimeoutExpired:
        out, err = "", "stuck"
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return Ended(process.wait(), out, err)


def files(store: Path) -> dict[str, bytes]:
    return {str(p.relative_to(store)): p.read_bytes() for p in sorted(store.rglob("*")) if p.is_file()}


def same_store(work: Work, store: Path) -> str:
    found, wanted = files(store), files(work.folder / "once.zarr")
    return "" if found == wanted else f"differs in {sorted(set(found.items()) ^ set(wanted.items()))[0][0]}"


def same_losses(work: Work, store: Path | str) -> str:
    found, wanted = read_losses(store), read_losses(work.folder / "once.zarr")
    if sorted(found.lms) != sorted(wanted.lms):
        return f"has the models {found.lms}"
    rows = [found.lms.index(lm) for lm in wanted.lms]
    return "" if np.array_equal(found.loss[rows], wanted.loss) else "has other losses"


def same_comparison(work: Work, out: Path) -> str:
    found, wanted = (pd.read_parquet(place / "cells.parquet") for place in (out, work.folder / "once"))
    return "" if found.equals(wanted) else "has other predictions"


def again(command: list[str], same: Callable[[], str], **environment: str) -> str:
    """Run a command to its end; what is wrong with it or its result."""
    ended = end(begin(command, **environment))
    if ended.code:
        return f"the same command again ended with {ended.code}: {ended.err[-300:]}"
    if "missing" in ended.out or "failed" in ended.out:
        return f"the same command again said {ended.out[-300:]}"
    return same()


def children(pid: int, word: str) -> list[int]:
    """The processes below a process whose command line contains a word."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
    below, found = {pid}, []
    for _ in range(8):
        below |= {child for child, parent in parents.items() if parent in below}
    for child in sorted(below - {pid}):
        with suppress(OSError):
            if word in (Path("/proc") / str(child) / "cmdline").read_bytes().replace(b"\0", b" ").decode():
                found.append(child)
    return found


def kill_child(process: subprocess.Popen[str], word: str, rng: random.Random, within: float) -> bool:
    """Kill one of the processes with this word, some time after the first one began; whether there was one."""
    while process.poll() is None and not children(process.pid, word):
        time.sleep(0.02)
    time.sleep(rng.uniform(0, within))
    for child in rng.sample(found := children(process.pid, word), min(1, len(found))):
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
            return True
    return False
