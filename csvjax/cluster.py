"""Runs independent jobs: in this process, in processes of this machine, or as tasks of Ray on many machines.

There is no scheduler here: `concurrent.futures` or Ray decides where a job runs. A job must have the same result
however often it runs, because a job whose process was killed is run again.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple, TypeVar

from csvjax.compiled import keep_compiled
from csvjax.errors import InputError, installed

__all__ = ["Lost", "Tell", "Where", "connected", "run_all"]

J = TypeVar("J")
R = TypeVar("R")
Tell = Callable[..., None]
"""Called by a job with anything that can be pickled, to say how far it is."""

_RETRIES = 3  # times that a job runs again whose process or machine was lost
_KNOCK = 10.0  # seconds
_WAIT = 0.3  # seconds between two looks at what the tasks say


@dataclass(frozen=True)
class Where:
    """Where jobs run.

    Attributes:
        processes: number of processes on this machine; 1 for this process. With "auto": the CPUs that Ray may use.
        cluster: None for this machine without Ray, "auto" for a Ray that is started here and ends with this process,
            or the address of a running one.
        devices: accelerators that each job needs, if the cluster has any.
        memory: bytes of memory that each job needs; None if it is unknown.
    """

    processes: int = 1
    cluster: str | None = None
    devices: int = 0
    memory: int | None = None


class Lost(NamedTuple):
    """A job without result, because its process was killed each time that it ran."""

    reason: str


def run_all(
    jobs: Sequence[J], work: Callable[[J, Tell], R], where: Where, tell: Tell = lambda *said: None
) -> Iterator[tuple[int, R | Lost]]:
    """The number and the result of each job, as soon as it is done.

    Args:
        jobs: the jobs; each is pickled unless it runs in this process.
        work: a function of a module, called with a job and a function to tell how far it is.
        where: where the jobs run.
        tell: receives what jobs tell. Jobs in processes of this machine are silent.

    Raises: what a job raises; InputError if Ray is not installed, cannot be reached, or has not what a job needs.
    """
    if where.cluster is not None:
        yield from _on_ray(jobs, work, where, tell)
    elif where.processes < 2 or len(jobs) < 2:
        for number, job in enumerate(jobs):
            yield number, work(job, tell)
    else:
        yield from _in_processes(jobs, work, where.processes)


def _silent(*said: object) -> None:
    pass


def _in_processes(jobs: Sequence[J], work: Callable[[J, Tell], R], count: int) -> Iterator[tuple[int, R | Lost]]:
    """If a process is killed, the pool is lost with all that it was working on. These jobs run again, one at a time."""
    left, lost = deque(range(len(jobs))), list[int]()
    while left:
        with ProcessPoolExecutor(min(count, len(left)), get_context("spawn"), _end_with_parent) as pool:
            running: dict[Future[R], int] = {}
            broken = False
            while not broken and (left or running):
                try:
                    while left and len(running) < 2 * count:
                        running[pool.submit(work, jobs[left[0]], _silent)] = left[0]
                        left.popleft()
                except BrokenProcessPool:
                    broken = True
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    if isinstance(future.exception(), BrokenProcessPool):
                        broken = True
                    else:
                        yield running.pop(future), future.result()
            lost += running.values()
    for number in sorted(lost):
        yield number, _alone(jobs[number], work)


def _end_with_parent() -> None:
    """End this process when the one that started it ends, even if that is killed: idle, it would wait forever."""

    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), name="parent", daemon=True).start()


def _follow(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _alone(job: J, work: Callable[[J, Tell], R]) -> R | Lost:
    for _ in range(_RETRIES):
        with ProcessPoolExecutor(1, get_context("spawn"), _end_with_parent) as pool, suppress(BrokenProcessPool):
            return pool.submit(work, job, _silent).result()
    return Lost(f"its process was killed {_RETRIES} times, alone too; it may need more memory")


class _Board:
    """What the tasks say, kept in one process of Ray until the caller takes it."""

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []

    def say(self, *said: Any) -> None:
        self.said.append(said)

    def take(self) -> list[tuple[Any, ...]]:
        said, self.said = self.said, []
        return said


def _task(job: Any, work: Callable[[Any, Tell], Any], board: Any, threads: int | None) -> Any:
    """Runs in a process of Ray. XLA has one thread for each CPU that the task declared, not for each of the machine."""
    keep_compiled()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if threads is not None:
        os.environ["NPROC"] = str(threads)
    return work(job, lambda *said: board.say.remote(*said))


def _on_ray(
    jobs: Sequence[J], work: Callable[[J, Tell], R], where: Where, tell: Tell
) -> Iterator[tuple[int, R | Lost]]:
    with _connected(where) as ray, redirect_stdout(sys.stderr):  # Ray prints its remarks on lost workers
        needs = _needs(where, ray.cluster_resources())
        board = ray.remote(num_cpus=0)(_Board).remote()
        task = ray.remote(max_retries=_RETRIES, **needs)(_task)
        threads = None if {"num_gpus", "resources"} & set(needs) else needs["num_cpus"]
        ahead = 4 * max(4, int(ray.cluster_resources().get("CPU", 1)))  # more would wait in memory
        left, running = deque(range(len(jobs))), dict[Any, int]()
        while left or running:
            while left and len(running) < ahead:
                number = left.popleft()
                running[task.remote(jobs[number], work, board, threads)] = number
            done, _ = ray.wait(list(running), timeout=_WAIT)
            for said in ray.get(board.take.remote()):
                tell(*said)
            for reference in done:
                yield running.pop(reference), _result(ray, reference)


def _result(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None  # what the job raised, without Ray's traceback as its text
    except ray.exceptions.RayError as error:
        return Lost(f"its worker was lost {_RETRIES + 1} times ({type(error).__name__}); it may need more memory")


def _needs(where: Where, has: dict[str, float]) -> dict[str, Any]:
    """The resources of a task, as Ray names them.

    Raises: InputError if the whole cluster has less.
    """
    needs: dict[str, Any] = {"num_cpus": 1}
    kind = next((name for name in ("GPU", "TPU") if where.devices and has.get(name)), None)
    if kind is not None:
        needs |= {"num_gpus": where.devices} if kind == "GPU" else {"resources": {"TPU": where.devices}}
        if has[kind] < where.devices:
            raise InputError(
                f"expected a cluster with {where.devices} accelerators for a job, found {has[kind]:g}; use fewer "
                "--model-devices"
            )
    elif where.memory is not None:  # without accelerators the memory of the device is that of the machine
        needs["memory"] = where.memory
        if has.get("memory", 0) < where.memory:
            raise InputError(
                f"expected a cluster with {where.memory / 2**30:.3g} GiB for a job, found "
                f"{has.get('memory', 0) / 2**30:.3g} GiB; use a smaller --memory, or larger machines"
            )
    return needs


@contextmanager
def connected(where: Where | None) -> Iterator[None]:
    """Keep Ray connected, so that calls of `run_all` in the block do not start it again. Without a cluster no effect.

    Raises: InputError if Ray is not installed or cannot be reached.
    """
    if where is None or where.cluster is None:
        yield
        return
    with _connected(where):
        yield


@contextmanager
def _connected(where: Where) -> Iterator[Any]:
    """Ray, connected. A Ray that was connected before the block stays connected after it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if where.cluster == "auto" and "RAY_AUTH_MODE" not in os.environ and "ray" not in sys.modules:
        # Ray listens on all interfaces and runs what it is sent. A secret keeps everybody else out; it is read when Ray
        # is imported.
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    with installed("--cluster", "cluster"):
        import ray
    if ray.is_initialized():
        yield ray
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if where.cluster == "auto":
            cpus = where.processes if where.processes > 1 else _cpus()
            ray.init(address="local", num_cpus=cpus, include_dashboard=False, **quiet)
        else:
            _knock(str(where.cluster))
            ray.init(address=where.cluster, **quiet)
    except (OSError, ValueError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        if where.cluster == "auto":
            raise InputError(f"expected to start Ray here, found an error ({reason}); leave out --cluster") from None
        raise InputError(
            f"expected a running Ray at --cluster {where.cluster}, found none ({reason}); write HOST:PORT of a "
            "cluster, or use --cluster auto to start one on this machine"
        ) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _cpus() -> int:
    """The CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _knock(address: str) -> None:
    """Connect to HOST:PORT or ray://HOST:PORT and hang up, because Ray itself tries for minutes.

    Raises: OSError if nobody answers; ValueError for another form.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError("no HOST:PORT")
    socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK).close()
