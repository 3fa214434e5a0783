"""Fault drills: commands are killed, starved and run against each other at random points, and then run again.

    python -m experiments.drills --out runs/drills
    python -m experiments.drills --quick --out runs/quick

A drill survives if the same command, run again, ends with code 0 and a result that equals the undisturbed one: byte for
byte for a store on disk, number for number for a comparison and for a store whose models joined in another order.
Killed commands must end by the signal, and a command without disk must end with an error that its last line names.

The models are two random ones of 16 dimensions, so nearly all time goes into starting processes: some hours for all
drills 20 times on two cores. `--only NAME` runs one of them; `--times` says how often.

Last line: drills, survived, lost.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
import typer

from csvjax import runs
from csvjax.data.read_losses import read_losses
from csvjax.errors import InputError
from experiments.running import start
from tests.lms.small import write_checkpoint
from tests.object_server import s3

__all__ = ["DRILLS", "Drill", "Work", "prepare"]

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
        ended = _end(_begin(command))
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


def _begin(command: list[str], limit: int | None = None, **environment: str) -> subprocess.Popen[str]:
    starved = [] if limit is None else ["-c", _STARVED, str(limit)]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, *starved, "-m", "csvjax.cli", *command], stdout=pipe, stderr=pipe, text=True,
        env=os.environ | environment, start_new_session=True,
    )  # fmt: skip


def _end(process: subprocess.Popen[str]) -> Ended:
    try:
        out, err = process.communicate(timeout=_LONGEST)
    except subprocess.TimeoutExpired:
        out, err = "", "stuck"
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return Ended(process.wait(), out, err)


def _files(store: Path) -> dict[str, bytes]:
    return {str(p.relative_to(store)): p.read_bytes() for p in sorted(store.rglob("*")) if p.is_file()}


def _same_store(work: Work, store: Path) -> str:
    found, wanted = _files(store), _files(work.folder / "once.zarr")
    return "" if found == wanted else f"differs in {sorted(set(found.items()) ^ set(wanted.items()))[0][0]}"


def _same_losses(work: Work, store: Path | str) -> str:
    found, wanted = read_losses(store), read_losses(work.folder / "once.zarr")
    if sorted(found.lms) != sorted(wanted.lms):
        return f"has the models {found.lms}"
    rows = [found.lms.index(lm) for lm in wanted.lms]
    return "" if np.array_equal(found.loss[rows], wanted.loss) else "has other losses"


def _same_comparison(work: Work, out: Path) -> str:
    found, wanted = (pd.read_parquet(place / "cells.parquet") for place in (out, work.folder / "once"))
    return "" if found.equals(wanted) else "has other predictions"


def _again(command: list[str], same: Callable[[], str], **environment: str) -> str:
    """Run a command to its end; what is wrong with it or its result."""
    ended = _end(_begin(command, **environment))
    if ended.code:
        return f"the same command again ended with {ended.code}: {ended.err[-300:]}"
    if "missing" in ended.out or "failed" in ended.out:
        return f"the same command again said {ended.out[-300:]}"
    return same()


def _children(pid: int, word: str) -> list[int]:
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


def _kill_child(process: subprocess.Popen[str], word: str, rng: random.Random, within: float) -> bool:
    """Kill one of the processes with this word, some time after the first one began; whether there was one."""
    while process.poll() is None and not _children(process.pid, word):
        time.sleep(0.02)
    time.sleep(rng.uniform(0, within))
    for child in rng.sample(found := _children(process.pid, word), min(1, len(found))):
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
            return True
    return False


# Drills: each returns what is wrong, or "" ---------------------------------------------------------------------------


def extraction_driver(work: Work, rng: random.Random, folder: Path) -> str:
    store = folder / "s.zarr"
    process = _begin(work.losses(store))
    if rng.random() < 0.5:
        time.sleep(rng.uniform(0.1, 1) * work.losses_s)
    else:  # at a random chunk
        wanted = rng.randrange(len(list((work.folder / "once.zarr").glob("loss/c/*/*"))))
        while process.poll() is None and len(list(store.glob("loss/c/*/*"))) < wanted:
            time.sleep(0.001)
    process.kill()
    _end(process)
    return _again(work.losses(store), lambda: _same_store(work, store))


def extraction_in_a_bucket(work: Work, rng: random.Random, folder: Path) -> str:
    url = f"s3://bucket/{rng.randrange(10**9)}/s.zarr"
    process = _begin(work.losses(url))
    time.sleep(rng.uniform(0.3, 1) * work.losses_s)
    process.kill()
    _end(process)
    return _again(work.losses(url), lambda: _same_losses(work, url))


def extraction_ray_worker(work: Work, rng: random.Random, folder: Path) -> str:
    store = folder / "s.zarr"
    process = _begin(work.losses(store, "--cluster", "auto"))
    _kill_child(process, "ray::_task", rng, work.losses_s)
    ended = _end(process)
    if ended.code:  # Ray starts the task again, so the command itself succeeds
        return f"ended with {ended.code}: {ended.err[-300:]}"
    return _same_losses(work, store)


def extraction_ray_driver(work: Work, rng: random.Random, folder: Path) -> str:
    store = folder / "s.zarr"
    process = _begin(work.losses(store, "--cluster", "auto"))
    time.sleep(rng.uniform(0.3, 3) * work.losses_s)
    process.kill()
    _end(process)
    return _again(work.losses(store, "--cluster", "auto"), lambda: _same_losses(work, store))


def extraction_ray_head(work: Work, rng: random.Random, folder: Path) -> str:
    store = folder / "s.zarr"
    process = _begin(work.losses(store, "--cluster", "auto"))
    killed = _kill_child(process, "gcs_server", rng, 2 * work.losses_s)
    ended = _end(process)
    if killed and ended.code == 0 and _same_losses(work, store):
        return "ended with 0 and an unfinished store"
    return _again(work.losses(store, "--cluster", "auto"), lambda: _same_losses(work, store))


def _compared_without_a_worker(work: Work, out: Path, word: str, rng: random.Random, *more: str) -> str:
    """A comparison must succeed although a child process, with this word in its command, is killed."""
    process = _begin(work.compare(out, *more))
    _kill_child(process, word, rng, work.compare_s)
    ended = _end(process)
    if ended.code or "failed" in ended.out:
        return f"ended with {ended.code}: {ended.out[-200:]} {ended.err[-300:]}"
    return _same_comparison(work, out)


def comparison_worker(work: Work, rng: random.Random, folder: Path) -> str:
    out = folder / "run"
    return _compared_without_a_worker(work, out, "spawn_main", rng, "--jobs", "2")


def comparison_driver(work: Work, rng: random.Random, folder: Path) -> str:
    out = folder / "run"
    process = _begin(work.compare(out, "--jobs", "2"))
    time.sleep(rng.uniform(0.2, 1.5) * work.compare_s)
    process.kill()
    _end(process)
    return _again(work.compare(out, "--jobs", "2"), lambda: _same_comparison(work, out))


def comparison_ray_worker(work: Work, rng: random.Random, folder: Path) -> str:
    out = folder / "run"
    return _compared_without_a_worker(work, out, "ray::_task", rng, "--cluster", "auto", "--jobs", "2")


def disk_full(work: Work, rng: random.Random, folder: Path) -> str:
    """No file can grow beyond a random size, which is below that of the largest file of the store."""
    store = folder / "s.zarr"
    largest = max(len(data) for data in _files(work.folder / "once.zarr").values())
    ended = _end(_begin(work.losses(store), limit=rng.randrange(20, largest)))
    last = (ended.err.strip().splitlines() or [""])[-1]
    if ended.code not in (1, 2) or "Traceback" in ended.err or not last.startswith("error: "):
        return f"without disk it ended with {ended.code}: {ended.err[-300:]}"
    return _again(work.losses(store), lambda: _same_store(work, store))


def eight_on_one_store(work: Work, rng: random.Random, folder: Path) -> str:
    store = folder / "s.zarr"
    processes = []
    for _ in range(8):
        processes.append(_begin(work.losses(store)))
        time.sleep(rng.uniform(0, 0.3))
    for ended in map(_end, processes):
        if ended.code:
            return f"one of eight ended with {ended.code}: {ended.err[-300:]}"
    return _same_store(work, store)


def two_with_one_out(work: Work, rng: random.Random, folder: Path) -> str:
    out = folder / "run"
    first = _begin(work.compare(out))
    time.sleep(rng.uniform(0, 1) * work.compare_s)
    ended = [_end(process) for process in (_begin(work.compare(out)), first)]
    refused = [e for e in ended if e.code == 2 and "no other command is writing to" in e.err]
    done = [e for e in ended if e.code == 0]
    if not done or len(done) + len(refused) < 2:
        return f"ended with {[(e.code, e.err[-200:]) for e in ended]}"
    return _same_comparison(work, out)


Drill = Callable[[Work, random.Random, Path], str]
DRILLS: tuple[Drill, ...] = (
    *(extraction_driver, comparison_worker, comparison_driver, disk_full, two_with_one_out, extraction_in_a_bucket),
    *(extraction_ray_worker, extraction_ray_driver, comparison_ray_worker, eight_on_one_store, extraction_ray_head),
)


@contextmanager
def _server() -> Iterator[None]:
    """An S3-compatible server on loopback, which the commands find in their environment."""
    with s3() as host:
        names = {
            "ENDPOINT_URL": f"http://{host}",
            "ACCESS_KEY_ID": "a",
            "SECRET_ACCESS_KEY": "b",
            "REGION": "us-east-1",
        }
        os.environ.update({f"AWS_{name}": value for name, value in names.items()})
        yield


def main(
    out: Path = Path("runs/drills"),
    quick: bool = False,
    times: Annotated[int, typer.Option(min=1)] = 20,
    only: Annotated[str, typer.Option(help="Names of drills.")] = "",
    seed: int = 0,
) -> None:
    """Each drill some times, with a table of what survived."""
    folder = runs.check_out(out)
    folder.mkdir(parents=True, exist_ok=True)
    runs.write_json({"format": runs.FORMAT, "command": "drills", "seed": seed, "times": times}, folder / "config.json")
    wanted = only.split(",") if only else [drill.__name__ for drill in DRILLS]
    rows = []
    with _server(), tempfile.TemporaryDirectory() as made:
        work = prepare(Path(made))
        for drill in (drill for drill in DRILLS if drill.__name__ in wanted):
            wrong, begun = [], time.monotonic()
            count = 1 if quick else times
            for number in range(count):
                place = Path(made) / drill.__name__
                place.mkdir()
                if told := drill(work, random.Random(f"{seed} {drill.__name__} {number}"), place):
                    wrong.append(told)
                    typer.echo(f"{drill.__name__} {number}: {told}", err=True)
                shutil.rmtree(place, ignore_errors=True)
            row = {"drill": drill.__name__, "times": count, "survived": count - len(wrong), "lost": len(wrong)}
            rows.append(row | {"wrong": wrong, "seconds": round(time.monotonic() - begun)})
            typer.echo(f"| {drill.__name__.replace('_', ' ')} | {count} | {count - len(wrong)} | {len(wrong)} |")
            runs.write_json(rows, folder / "drills.json")
    figures = {
        "drills": sum(int(str(row["times"])) for row in rows),
        "survived": sum(int(str(row["survived"])) for row in rows),
        "lost": sum(int(str(row["lost"])) for row in rows),
    }
    runs.write_json(figures, folder / "figures.json")
    typer.echo(json.dumps(figures))


if __name__ == "__main__":
    start(main)
