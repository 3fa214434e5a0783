"""Jobs for `tests/test_cluster.py`, in a module that processes of Ray can import."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from csvjax.cluster import Tell
from csvjax.errors import InputError

__all__ = ["dies", "dies_once", "refuses", "square", "threads", "waits"]


def square(job: int, tell: Tell) -> int:
    tell("job", job)
    return job * job


def dies_once(job: Path, tell: Tell) -> str:
    """Killed like a worker of a lost machine, until the file exists."""
    if not job.exists():
        job.write_text("begun")
        os.kill(os.getpid(), signal.SIGKILL)
    return job.name


def dies(job: str, tell: Tell) -> str:
    if job == "bad":
        os.kill(os.getpid(), signal.SIGKILL)
    return job


def waits(job: Path, tell: Tell) -> None:
    """Says in a file which process it is in, and is done, so that the process waits for another job."""
    (job / str(os.getpid())).write_text("")
    time.sleep(0.5)


def refuses(job: int, tell: Tell) -> int:
    raise InputError(f"expected another job, found {job}; give another")


def threads(job: int, tell: Tell) -> tuple[str | None, str | None]:
    return os.environ.get("NPROC"), os.environ.get("RAY_AUTH_MODE")
