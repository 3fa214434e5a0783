"""Fault drills: a command that is killed or starved completes when it is called again, with the undisturbed result."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from csvjax.errors import InputError
from experiments import drill_hosts, drill_tools, drills
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
    if drill is drills.two_hosts_cut and not drill_hosts.possible():
        pytest.skip("network namespaces need root and ip netns")
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


def test_what_is_done_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def good(work: Work, rng: random.Random, folder: Path) -> str:
        """Good."""
        done.append(f"good {rng.random()}")
        return ""

    def bad(work: Work, rng: random.Random, folder: Path) -> str:
        """Bad.

        With more to say.
        """
        done.append(f"bad {rng.random()}")
        return "lost"

    monkeypatch.setattr(drills, "DRILLS", (good, bad))
    monkeypatch.setattr(drills, "_server", nullcontext)
    monkeypatch.setattr(drills, "prepare", lambda folder: Work(folder, 1, 1))
    drills.main(tmp_path / "run", times=2)
    assert [name.split()[0] for name in done] == ["good", "bad", "good", "bad"]
    assert len(set(done)) == 4
    drills.main(tmp_path / "run", times=3)
    assert len(done) == 6
    found = json.loads((tmp_path / "run" / "drills.json").read_text())
    assert found["figures"] == {"drills": 6, "survived": 3, "lost": 3}
    assert [(row["what"], row["times"], row["survived"], row["lost"]) for row in found["drills"]] == [
        ("Good", 3, 3, 0),
        ("Bad", 3, 0, 3),
    ]
    with pytest.raises(InputError, match="found ugly; choose others"):
        drills.main(tmp_path / "run", only="ugly")


def test_the_clock_of_a_command_jumps(tmp_path: Path) -> None:
    clock = drill_tools.jumping_clock(tmp_path / "clock")
    program = "import time; print(*[time.time() for _ in range(100)])"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=os.environ | clock)
    times = [float(word) for word in said.stdout.split()]
    assert max(times) - min(times) > 1e6
    assert Path(clock["CLOCK_JUMPS"]).read_text().count("\n") > 3
