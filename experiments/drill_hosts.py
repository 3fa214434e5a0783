"""Two hosts as network namespaces of this machine, and a cable between them that can be cut. Needs root and `ip`."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

__all__ = ["FIRST", "Hosts", "possible", "two_hosts"]

FIRST = "10.77.0.1"
"""Address of the first host."""


_ETC = Path("/etc/netns")  # files here replace those of /etc for commands of a namespace


class Hosts(NamedTuple):
    """Commands that run another one on each host: `within` of `experiments.drill_tools.begin`."""

    names: tuple[str, str]

    def within(self, host: int) -> list[str]:
        return ["ip", "netns", "exec", self.names[host]]

    def cut(self) -> None:
        """Nothing arrives any more; no connection is told that it is closed."""
        self._cable("down")

    def mend(self) -> None:
        self._cable("up")

    def _cable(self, state: str) -> None:
        _ip("-n", self.names[1], "link", "set", "cable1", state)


def possible() -> bool:
    """Whether network namespaces can be made here."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        return False
    name = f"csvjax{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode == 0
    if made:
        _ip("netns", "del", name)
    return made


@contextmanager
def two_hosts() -> Iterator[Hosts]:
    """Two hosts, 10.77.0.1 and 10.77.0.2, that see only each other."""
    names = f"csvjax{os.getpid()}a", f"csvjax{os.getpid()}b"
    try:
        for name in names:
            _ip("netns", "add", name)
        _ip("-n", names[0], "link", "add", "cable0", "type", "veth", "peer", "name", "cable1", "netns", names[1])
        for host, name in enumerate(names):
            _ip("-n", name, "addr", "add", f"10.77.0.{host + 1}/24", "dev", f"cable{host}")
            for device in ("lo", f"cable{host}"):
                _ip("-n", name, "link", "set", device, "up")
            (_ETC / name).mkdir(parents=True)
            own = f"10.77.0.{host + 1} {socket.gethostname()}"  # the address that Gloo tells the other host
            (_ETC / name / "hosts").write_text(f"127.0.0.1 localhost\n{own}\n")
        yield Hosts(names)
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
            shutil.rmtree(_ETC / name, ignore_errors=True)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
