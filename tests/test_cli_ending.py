"""Signals to a real process: how soon it ends, with which code, what it says and what it leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from csvjax import runs
from csvjax.errors import InputError

# A fit that stays inside one compiled loop for minutes, with files on their way.
STUCK = """
import sys
import jax
import csvjax.fitting
from csvjax.cli import main

def fit(*args, **more):
    print("computing", file=sys.stderr, flush=True)
    jax.jit(lambda x: jax.lax.while_loop(lambda c: c[0] < 1e13, lambda c: (c[0] + 1, c[1] * 1.0001), (x, x)))(0.0)
    {after}

csvjax.fitting.fit = fit
sys.argv[1:] = ["fit", "--scores", {scores!r}, "--out", {out!r}]
main()
"""
# A main thread that takes no notice.
DEAF = """
    import time
    while True:
        try:
            while True:
                time.sleep(0.01)
        except KeyboardInterrupt:
            pass
"""


# Ctrl-C while the command line itself is still being imported.
EARLY = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, *rest):
        if name == {module!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
from csvjax.cli import main

sys.argv[1:] = ["fetch"]
main()
"""


# A test that runs in the background of a shell ignores Ctrl-C, and so would its children; exec keeps no handler.
LISTENING = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process in a group of its own, which does not outlive the block."""
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(Path(runs.__file__).parent.parent)}
    command = [sys.executable, "-c", LISTENING, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, env=environment, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def wait_for(process: subprocess.Popen[str], word: str) -> None:
    assert process.stderr is not None
    assert any(word in line for line in process.stderr)


def alive(group: int) -> list[str]:
    """The processes of a group that run, by what `ps` says."""
    said = subprocess.run(["ps", "-eo", "pgid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in said.splitlines()]
    return [row[2] for row in rows if int(row[0]) == group and not row[1].startswith("Z")]


def scores_in(folder: Path) -> str:
    path = folder / "scores.csv"
    path.write_text("model,flops,a,b\n" + "".join(f"m{i},{i}e20,0.{i}5,0.{i}1\n" for i in range(1, 9)))
    return str(path)


@pytest.mark.parametrize(
    ("number", "code", "says", "after"),
    [(signal.SIGINT, 130, "interrupted", DEAF), (signal.SIGTERM, 143, "terminated", "pass")],
)
def test_a_signal_ends_a_fit_inside_compiled_code(
    tmp_path: Path, number: signal.Signals, code: int, says: str, after: str
) -> None:
    out = tmp_path / "run"
    with started("-c", STUCK.format(scores=scores_in(tmp_path), out=str(out), after=after)) as process:
        wait_for(process, "computing")
        time.sleep(1)
        assert any(path.name.endswith(".part.run") for path in tmp_path.iterdir())
        sent = time.monotonic()
        process.send_signal(number)
        _, stderr = process.communicate(timeout=30)
        took = time.monotonic() - sent
    assert took < 2
    assert (process.returncode, stderr) == (code, f"{says}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]


@pytest.mark.parametrize("module", ["typer", "csvjax.cli.fit", "csvjax.data.public"])
def test_ctrl_c_while_a_command_starts_has_no_traceback(module: str) -> None:
    with started("-c", EARLY.format(module=module)) as process:
        _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (130, "interrupted\n")


def test_ctrl_c_in_a_terminal_ends_workers_too(tmp_path: Path) -> None:
    command = ["compare", "--scores", scores_in(tmp_path), "--split", "models:4", "--jobs", "2"]
    with started("-m", "csvjax.cli", *command, "--out", str(tmp_path / "run")) as process:
        wait_for(process, "1/")  # the first answer
        sent = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, stderr = process.communicate(timeout=30)
        took = time.monotonic() - sent
        for _ in range(50):
            if not alive(process.pid):
                break
            time.sleep(0.1)
        assert not alive(process.pid)
    assert took < 2
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "interrupted"
    assert "Traceback" not in stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"scores.csv", "run"}  # its cache, to go on with


def test_a_second_command_does_not_write_to_the_same_folder(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with started("-c", STUCK.format(scores=scores_in(tmp_path), out=str(out), after="pass")) as process:
        wait_for(process, "computing")
        with pytest.raises(InputError, match="in use"), runs.begin(out, {}):
            pass
    with runs.begin(out, {"command": "one"}) as run:  # a killed command holds nothing
        run.write_config()
    assert runs.read_config(out)["command"] == "one"
