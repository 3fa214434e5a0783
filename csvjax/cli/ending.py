"""Ends an interrupted or terminated command quickly, with one sentence, and without half-written files.

Python handles a signal between two steps of its main thread, and while XLA computes the next step may be minutes away.
So a second thread waits for the signal too. It gives the main thread a moment to clean up, and then ends the process.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import contextmanager

TYPE_CHECKING = False  # typing.TYPE_CHECKING without the time that its import takes
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = ["end_if_stopped", "said", "shielded", "watch"]

_PATIENCE = 0.8  # seconds
_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}

_received: list[int] = []
_raised: list[int] = []
_printed = threading.Event()


def watch() -> None:
    """Make SIGINT, SIGTERM and SIGHUP end the process within two seconds, with exit code 128 + n as shells use it.

    A signal that the process ignores already (nohup) stays ignored.
    """
    quiet = "ignore:resource_tracker:UserWarning"  # a warning of the process that frees resources of killed workers
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [os.environ.get("PYTHONWARNINGS"), quiet]))
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    for number in _WORDS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_end_late, args=(reader,), name="ending", daemon=True).start()


@contextmanager
def shielded(jobs: int) -> Iterator[None]:
    """Child processes that start in this block ignore Ctrl-C, because this process ends them. No effect for one job."""
    if jobs < 2:
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # its start, with the first child, would undo the next line
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def said() -> tuple[str, int]:
    """Why the command ends, for the caller to print, and its exit code."""
    _printed.set()
    number = signal.Signals(_received[0]) if _received else signal.SIGINT
    return _WORDS[number], 128 + number


def end_if_stopped() -> None:
    """End the process now if a signal came. Otherwise XLA's threads, which still run, could crash Python's shutdown."""
    if _received:
        _end()


def _interrupt(number: int, frame: Any) -> None:
    _received.append(number)
    if not _raised:  # a second exception would interrupt the cleanup after the first
        _raised.append(number)
        raise KeyboardInterrupt


def _end_late(reader: int) -> None:
    while not _received:
        _received.extend(number for number in os.read(reader, 64) if number in _WORDS)
    time.sleep(_PATIENCE)
    _end()


def _end() -> None:
    if multiprocessing := sys.modules.get("multiprocessing"):
        for child in multiprocessing.active_children():
            child.kill()
    if atomic := sys.modules.get("csvjax.atomic"):
        atomic.discard()
    show_cursor = "\r\x1b[K\x1b[?25h" if os.isatty(2) else ""  # the progress bar has hidden the cursor
    printed = _printed.is_set()
    words, code = said()
    os.write(
        2, f"{show_cursor}{'' if printed else words + chr(10)}".encode()
    )  # print() takes a lock, which another thread may hold
    os._exit(code)
