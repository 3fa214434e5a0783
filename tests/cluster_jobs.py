"""Jobs for `tests/test_cluster.py`, in a module that processes of Ray can import."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from csvjax.cluster import Tell
from csvjax.errors import InputError

__all__ = ["dies", "dies_once", "refuses", "square", "threads"]


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


def refuses(job: int, tell: Tell) -> int:
    raise InputError(f"expected another job, found {job}; give another")


def threads(job: int, tell: Tell) -> tuple[str | None, str | None]:
    return os.environ.get("NPROC"), os.environ.get("RAY_AUTH_MODE")
