"""Work in several processes: all of it is done, a failure is the caller's, and an interruption ends it at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from csvjax.ladder.build import Progress, in_processes

SCRIPT = """
import signal, sys, time
from pathlib import Path
from csvjax.atomic import replacing
from csvjax.ladder.build import Progress, in_processes

def work(number, folder, tell):
    if number == 5:
        raise FloatingPointError("number 5 diverged")
    with replacing(folder / f"{number}.txt") as part:
        part.write_text("whole")
        (folder / f"{number}.begun").touch()
        time.sleep(0.2 if number < 10 else 100)
    tell(1.0, f"done {number}")

class Said(Progress):
    def advance(self, amount, note=""):
        print(note, flush=True)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell started this in the background
    numbers = [int(n) for n in sys.argv[2].split(",")]
    try:
        in_processes(work, [(n, Path(sys.argv[1])) for n in numbers], 2, Said())
    except FloatingPointError as error:
        print(error)
        sys.exit(3)
    except KeyboardInterrupt:
        sys.exit(130)
"""


def start(folder: Path, numbers: str) -> subprocess.Popen[str]:
    """A process group of its own, as a terminal makes one for a command."""
    script = folder / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    command = [sys.executable, script, folder, numbers]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def wait_for(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, f"{path.name} did not come"
        time.sleep(0.05)


def nobody_is_left(group: int) -> bool:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def test_all_work_is_done_and_told(tmp_path: Path) -> None:
    with start(tmp_path, "1,2,3") as process:
        said, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert sorted(said.split("\n")) == ["", "done 1", "done 2", "done 3"]
    assert sorted(p.name for p in tmp_path.glob("*.txt")) == ["1.txt", "2.txt", "3.txt"]


def test_an_interruption_ends_all_processes_and_takes_half_written_files_back(tmp_path: Path) -> None:
    with start(tmp_path, "10,11,12,13") as process:
        wait_for(tmp_path / "10.begun")
        wait_for(tmp_path / "11.begun")
        begun = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert time.monotonic() - begun < 10
    assert "Traceback" not in errors
    assert nobody_is_left(process.pid)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["10.begun", "11.begun", "script.py"]


def test_a_failure_is_the_callers_and_ends_the_others(tmp_path: Path) -> None:
    with start(tmp_path, "5,10,11,12") as process:
        said, errors = process.communicate(timeout=60)
    assert process.returncode == 3, errors
    assert said == "number 5 diverged\n"
    assert nobody_is_left(process.pid)
    assert not list(tmp_path.glob("*.txt"))


def test_one_job_stays_in_this_process() -> None:
    seen: list[tuple[float, str]] = []

    class Noted(Progress):
        def advance(self, amount: float, note: str = "") -> None:
            seen.append((amount, note))

    in_processes(lambda number, tell: tell(number, str(os.getpid())), [(1.0,), (2.0,)], 1, Noted())
    assert seen == [(1.0, str(os.getpid())), (2.0, str(os.getpid()))]
