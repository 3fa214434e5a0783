"""Fault drills: a command that is killed or starved completes when it is called again, with the undisturbed result."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from csvjax.errors import InputError
from experiments import drill_tools, drills
from experiments.drill_tools import Work

FAST = ("extraction_driver", "disk_full")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    return drill_tools.prepare(tmp_path_factory.mktemp("drills"))


@pytest.fixture(scope="module")
def server() -> Iterator[None]:
    pytest.importorskip("obstore")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ENDPOINT_URL", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "REGION"):
            patch.setenv(f"AWS_{name}", "")  # put back after the module
        with drills._server():
            yield


@pytest.mark.parametrize("drill", [d for d in drills.DRILLS if d.__name__ in FAST], ids=lambda d: d.__name__)
def test_a_drill_survives(drill: drills.Drill, work: Work, tmp_path: Path) -> None:
    assert drill(work, random.Random(7), tmp_path) == ""


@pytest.mark.slow
@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("drill", drills.DRILLS, ids=lambda d: d.__name__)
def test_all_drills_survive(drill: drills.Drill, number: int, work: Work, server: None, tmp_path: Path) -> None:
    if "ray" in drill.__name__:
        pytest.importorskip("ray")
    told = drill(work, random.Random(f"{drill.__name__} {number}"), tmp_path)
    assert told == ""


def test_a_result_that_differs_is_seen(work: Work, tmp_path: Path) -> None:
    copy = tmp_path / "s.zarr"
    shutil.copytree(work.folder / "once.zarr", copy)
    assert drill_tools.same_store(work, copy) == ""
    chunk = copy / "loss" / "c" / "0" / "1"
    chunk.write_bytes(chunk.read_bytes()[:-1])
    assert drill_tools.same_store(work, copy) == "differs in loss/c/0/1"
    chunk.unlink()
    with pytest.raises(InputError, match="missing"):
        drill_tools.same_losses(work, copy)
