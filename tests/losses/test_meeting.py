"""Where one of two processes fails, both raise: nobody waits for ever."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from csvjax.losses.meeting import Meeting
from tests.lms.small import write_checkpoint

# What fails, its error and its sentence: in the second process for "follower" and "models".
CASES = {
    "store": ("InputError", "found other files; choose another"),
    "weights": ("InputError", "expected luck, found none"),
    "follower": ("InputError", "expected luck, found none"),
    "models": ("InputError", "start every process with the same"),
    "write": ("OSError", "no space is left"),
    "again": ("", "done"),
}


def test_alone_nobody_waits() -> None:
    meeting = Meeting()
    meeting.meet()
    assert meeting.agree(3) == 3
    with pytest.raises(OSError, match="full"), meeting.held():
        raise OSError("full")


def test_a_failure_of_one_process_is_an_error_of_both(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_checkpoint(tmp_path / f"m{seed}", seed)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "tests.losses.meeting_program", str(tmp_path), address, "2"]
    flags = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=1"}
    both = [
        subprocess.Popen([*command, str(i)], env=os.environ | flags, text=True, stdout=subprocess.PIPE) for i in (0, 1)
    ]
    try:
        said = [process.communicate(timeout=240)[0] for process in both]
    finally:
        for process in both:
            process.kill()
            process.wait()
    lead, follow = (
        dict(line.split(" ", 1) for line in out.splitlines() if line.split(" ")[0] in CASES) for out in said
    )
    for name, (error, sentence) in CASES.items():
        mine, other = (follow, lead) if name in ("follower", "models") else (lead, follow)
        assert mine[name].startswith(f"{error}: ") if error else mine[name] == "done", name
        assert sentence in mine[name], name
        assert sentence in other[name], name
        if error:
            assert f"process {0 if mine is lead else 1} of 2 stopped: " in other[name], name
