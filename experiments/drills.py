"""Fault drills: commands are killed, starved and run against each other at random points, and then run again.

    python -m experiments.drills --out runs/drills
    python -m experiments.drills --quick --out runs/quick

A drill survives if the same command, run again, ends with code 0 and a result that equals the undisturbed one: byte for
byte for a store on disk, number for number for a comparison and for a store whose models joined in another order.
Killed commands must end by the signal, and a command without disk must end with an error that its last line names.

The models are two random ones of 16 dimensions, so nearly all time goes into starting processes: some hours for all
drills 20 times on two cores. Each drill runs once before one of them runs again, and what is done is kept: the same
command resumes. `--only NAME` runs one of them; `--times` says how often.

`drills.json` in the folder has the form of a file in `experiments/results`. Last line: drills, survived, lost.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from csvjax import runs
from csvjax.atomic import replacing
from csvjax.errors import InputError
from experiments import running
from experiments.drill_hosts import FIRST, Hosts, possible, two_hosts
from experiments.drill_tools import (
    Ended,
    Work,
    again,
    begin,
    end,
    files,
    jumping_clock,
    kill_child,
    prepare,
    same_comparison,
    same_losses,
    same_store,
)
from tests.object_server import s3

__all__ = ["DRILLS", "Drill", "table_of"]

# Drills: each returns what is wrong, or "" ---------------------------------------------------------------------------


def extraction_driver(work: Work, rng: random.Random, folder: Path) -> str:
    """Extraction: SIGKILL of the command."""
    store = folder / "s.zarr"
    process = begin(work.losses(store))
    if rng.random() < 0.5:
        time.sleep(rng.uniform(0.1, 1) * work.losses_s)
    else:  # at a random chunk
        wanted = rng.randrange(len(list((work.folder / "once.zarr").glob("loss/c/*/*"))))
        while process.poll() is None and len(list(store.glob("loss/c/*/*"))) < wanted:
            time.sleep(0.001)
    process.kill()
    end(process)
    return again(work.losses(store), lambda: same_store(work, store))


def extraction_in_a_bucket(work: Work, rng: random.Random, folder: Path) -> str:
    """Extraction into an S3 bucket: SIGKILL of the command."""
    url = f"s3://bucket/{rng.randrange(10**9)}/s.zarr"
    process = begin(work.losses(url))
    time.sleep(rng.uniform(0.3, 1) * work.losses_s)
    process.kill()
    end(process)
    return again(work.losses(url), lambda: same_losses(work, url))


def extraction_ray_worker(work: Work, rng: random.Random, folder: Path) -> str:
    """Extraction with Ray: SIGKILL of a worker."""
    store = folder / "s.zarr"
    process = begin(work.losses(store, "--cluster", "auto"))
    kill_child(process, "ray::_task", rng, work.losses_s)
    ended = end(process)
    if ended.code:  # Ray starts the task again, so the command itself succeeds
        return f"ended with {ended.code}: {ended.err[-300:]}"
    return same_losses(work, store)


def extraction_ray_driver(work: Work, rng: random.Random, folder: Path) -> str:
    """Extraction with Ray: SIGKILL of the command."""
    store = folder / "s.zarr"
    process = begin(work.losses(store, "--cluster", "auto"))
    time.sleep(rng.uniform(0.3, 3) * work.losses_s)
    process.kill()
    end(process)
    return again(work.losses(store, "--cluster", "auto"), lambda: same_losses(work, store))


def extraction_ray_head(work: Work, rng: random.Random, folder: Path) -> str:
    """Extraction with Ray: SIGKILL of Ray's head."""
    store = folder / "s.zarr"
    process = begin(work.losses(store, "--cluster", "auto"))
    killed = kill_child(process, "gcs_server", rng, 2 * work.losses_s)
    ended = end(process)
    if killed and ended.code == 0 and same_losses(work, store):
        return "ended with 0 and an unfinished store"
    return again(work.losses(store, "--cluster", "auto"), lambda: same_losses(work, store))


def _compared_without_a_worker(work: Work, out: Path, word: str, rng: random.Random, *more: str) -> str:
    """A comparison must succeed although a child process, with this word in its command, is killed."""
    process = begin(work.compare(out, *more))
    kill_child(process, word, rng, work.compare_s)
    ended = end(process)
    if ended.code or "failed" in ended.out:
        return f"ended with {ended.code}: {ended.out[-200:]} {ended.err[-300:]}"
    return same_comparison(work, out)


def comparison_worker(work: Work, rng: random.Random, folder: Path) -> str:
    """Comparison: SIGKILL of a worker."""
    out = folder / "run"
    return _compared_without_a_worker(work, out, "spawn_main", rng, "--jobs", "2")


def comparison_driver(work: Work, rng: random.Random, folder: Path) -> str:
    """Comparison: SIGKILL of the command."""
    out = folder / "run"
    process = begin(work.compare(out, "--jobs", "2"))
    time.sleep(rng.uniform(0.2, 1.5) * work.compare_s)
    process.kill()
    if end(process).err == "stuck":
        return "its workers outlive it"
    return again(work.compare(out, "--jobs", "2"), lambda: same_comparison(work, out))


def comparison_ray_worker(work: Work, rng: random.Random, folder: Path) -> str:
    """Comparison with Ray: SIGKILL of a worker."""
    out = folder / "run"
    return _compared_without_a_worker(work, out, "ray::_task", rng, "--cluster", "auto", "--jobs", "2")


def disk_full(work: Work, rng: random.Random, folder: Path) -> str:
    """Extraction: no file can grow beyond a random size.

    The size is below that of the largest file of the store.
    """
    store = folder / "s.zarr"
    largest = max(len(data) for data in files(work.folder / "once.zarr").values())
    ended = end(begin(work.losses(store), limit=rng.randrange(20, largest)))
    last = (ended.err.strip().splitlines() or [""])[-1]
    if ended.code not in (1, 2) or "Traceback" in ended.err or not last.startswith("error: "):
        return f"without disk it ended with {ended.code}: {ended.err[-300:]}"
    return again(work.losses(store), lambda: same_store(work, store))


def eight_on_one_store(work: Work, rng: random.Random, folder: Path) -> str:
    """Eight extractions on one store."""
    store = folder / "s.zarr"
    processes = []
    for _ in range(8):
        processes.append(begin(work.losses(store)))
        time.sleep(rng.uniform(0, 0.3))
    for ended in map(end, processes):
        if ended.code:
            return f"one of eight ended with {ended.code}: {ended.err[-300:]}"
    return same_store(work, store)


def two_with_one_out(work: Work, rng: random.Random, folder: Path) -> str:
    """Two comparisons with one `--out`."""
    out = folder / "run"
    first = begin(work.compare(out))
    time.sleep(rng.uniform(0, 1) * work.compare_s)
    ended = [end(process) for process in (begin(work.compare(out)), first)]
    refused = [e for e in ended if e.code == 2 and "no other command is writing to" in e.err]
    done = [e for e in ended if e.code == 0]
    if not done or len(done) + len(refused) < 2:
        return f"ended with {[(e.code, e.err[-200:]) for e in ended]}"
    return same_comparison(work, out)


def clock_that_jumps(work: Work, rng: random.Random, folder: Path) -> str:
    """Extraction and comparison on a clock that jumps: SIGKILL of the command."""
    clock, store, out = jumping_clock(folder / "clock"), folder / "s.zarr", folder / "run"
    wrong = []
    for command, seconds, same in (
        (work.losses(store), work.losses_s, lambda: same_store(work, store)),
        (work.compare(out, "--jobs", "2"), work.compare_s, lambda: same_comparison(work, out)),
    ):
        process = begin(command, **clock)
        time.sleep(rng.uniform(0.2, 1) * seconds)
        process.kill()
        end(process)
        wrong.append(again(command, same, **clock))
    jumps = Path(clock["CLOCK_JUMPS"])
    wrong.append("" if jumps.exists() else "the clock never jumped")
    return "; ".join(filter(None, wrong))


def two_hosts_cut(work: Work, rng: random.Random, folder: Path) -> str:
    """Extraction of one model by two hosts: the network between them is cut."""
    store, once = folder / "s.zarr", work.folder / "two.zarr"
    with two_hosts() as hosts:
        if not once.exists() and any(ended.code for ended in _both_hosts(work, hosts, once, None)):
            shutil.rmtree(once, ignore_errors=True)
            return "an undisturbed run by two hosts failed"
        cut = rng.randrange(1, len(list(once.glob("loss/c/*/*"))))
        ended = _both_hosts(work, hosts, store, cut)
        if "stuck" in [each.err for each in ended]:
            return "a process waits forever after the cut"
        if 0 in [each.code for each in ended] and files(store) != files(once):
            return f"ended with {[each.code for each in ended]} and an unfinished store"
        hosts.mend()
        ended = _both_hosts(work, hosts, store, None)
        if any(each.code for each in ended):
            return f"the same command again ended with {[(each.code, each.err[-200:]) for each in ended]}"
    return "" if files(store) == files(once) else "differs from an undisturbed run by two hosts"


def _both_hosts(work: Work, hosts: Hosts, store: Path, cut: int | None) -> list[Ended]:
    """One process on each host; the network is cut when there are `cut` chunks."""
    processes = [
        begin(work.losses(store, f"--distributed={FIRST}:7777,2,{host}"), within=hosts.within(host)) for host in (0, 1)
    ]
    if cut is not None:
        while processes[0].poll() is None and len(list(store.glob("loss/c/*/*"))) < cut:
            time.sleep(0.001)
        hosts.cut()
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(end, processes))


Drill = Callable[[Work, random.Random, Path], str]
DRILLS: tuple[Drill, ...] = (
    *(extraction_driver, comparison_worker, comparison_driver, disk_full, two_with_one_out, extraction_in_a_bucket),
    *(extraction_ray_worker, extraction_ray_driver, comparison_ray_worker, eight_on_one_store, extraction_ray_head),
    *(clock_that_jumps, two_hosts_cut),
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


def _trial(drill: Drill, work: Work, seed: int, number: int, made: Path) -> dict[str, Any]:
    """What was wrong with a drill, or "", and the seconds that it took."""
    place, begun = made / drill.__name__, time.monotonic()
    place.mkdir()
    told = drill(work, random.Random(f"{seed} {drill.__name__} {number}"), place)
    shutil.rmtree(place, ignore_errors=True)
    return {"drill": drill.__name__, "number": number, "wrong": told, "seconds": round(time.monotonic() - begun, 1)}


def table_of(folder: Path, command: str) -> dict[str, Any]:
    """The drills that are done in a folder, in the form of a file in `experiments/results`."""
    done = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((folder / "trials").glob("*.json"))]
    rows = []
    for drill in DRILLS:
        mine = [trial for trial in done if trial["drill"] == drill.__name__]
        wrong = [trial["wrong"] for trial in mine if trial["wrong"]]
        row = {"drill": drill.__name__, "what": (drill.__doc__ or "").splitlines()[0].rstrip("."), "times": len(mine)}
        if mine:
            rows.append(row | {"survived": len(mine) - len(wrong), "lost": len(wrong), "wrong": wrong})
    figures = {"drills": float(len(done)), "survived": float(sum(not trial["wrong"] for trial in done))}
    figures["lost"] = figures["drills"] - figures["survived"]
    return {"command": command, "date": str(date.today()), "figures": figures, "drills": rows}


def main(
    out: Path = Path("runs/drills"),
    quick: bool = False,
    times: Annotated[int, typer.Option(min=1)] = 20,
    only: Annotated[str, typer.Option(help="Names of drills.")] = "",
    seed: int = 0,
) -> None:
    """Each drill some times, with a table of what survived."""
    names = [drill.__name__ for drill in DRILLS]
    if unknown := [name for name in only.split(",") if only and name not in names]:
        raise InputError(f"expected --only to name some of {', '.join(names)}, found {unknown[0]}; choose others")
    folder = running.begin(out, {"command": "drills", "seed": seed})
    wanted = [drill for drill in DRILLS if not only or drill.__name__ in only.split(",")]
    if two_hosts_cut in wanted and not possible():
        typer.echo("two_hosts_cut is left out: it needs root and ip netns", err=True)
        wanted.remove(two_hosts_cut)
    command = f"python -m experiments.drills --out {out}"
    with _server(), tempfile.TemporaryDirectory() as made:
        work = None
        for number in range(1 if quick else times):
            for drill in wanted:
                path = folder / "trials" / f"{drill.__name__}-{number:02}.json"
                if path.exists():
                    continue
                work = work or prepare(Path(made))
                trial = running.once(path, partial(_trial, drill, work, seed, number, Path(made)))
                typer.echo(
                    f"{trial['drill']} {number}: {trial['wrong'] or 'survived'} ({trial['seconds']} s)", err=True
                )
                with replacing(folder / "drills.json") as part:
                    runs.write_json(table_of(folder, command), part)
    found = table_of(folder, command)
    for row in found["drills"]:
        typer.echo(f"| {row['what']} | {row['times']} | {row['survived']} | {row['lost']} |")
    figures = {name: round(value) for name, value in found["figures"].items()}
    runs.write_json(figures, folder / "figures.json")
    typer.echo(json.dumps(figures))


if __name__ == "__main__":
    running.start(main)
