"""A ladder that is interrupted again and again, while it trains and while it scores, is the ladder that is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from csvjax.ladder.load import load_ladder

# SIGINT is ignored by what a shell starts in the background.
PROGRAM = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import csvjax.cli as c; c.main()"


def go(folder: Path, until: Callable[[], bool] = lambda: False) -> int:
    """`csvjax ladder --quick`, interrupted as by Ctrl-C when `until` says so: its exit code."""
    command = [sys.executable, "-c", PROGRAM, "ladder", "--quick", "--jobs", "2", "--out", folder]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        while process.poll() is None:
            if until():
                os.killpg(process.pid, signal.SIGINT)
                break
            time.sleep(0.2)
        return process.wait(timeout=600)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_an_interrupted_ladder_ends_as_one_that_was_not(tmp_path: Path) -> None:
    alone, stopped = tmp_path / "alone", tmp_path / "stopped"
    assert go(alone) == 0
    assert go(stopped, lambda: len(list(stopped.glob("*/step*.safetensors"))) >= 3) == 130
    assert not (stopped / "data").exists()
    assert go(stopped, lambda: len(list(stopped.glob("results/*.npz"))) >= 2) == 130
    assert not (stopped / "data").exists()
    assert go(stopped) == 0
    assert files(stopped) == files(alone)
    for path in alone.glob("*/*.safetensors"):
        assert (stopped / path.relative_to(alone)).read_bytes() == path.read_bytes()
    one, two = load_ladder(alone / "data"), load_ladder(stopped / "data")
    np.testing.assert_array_equal(one.measured()[1].loss, two.measured()[1].loss)
    np.testing.assert_array_equal(one.measured()[0].score, two.measured()[0].score)
