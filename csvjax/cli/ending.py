"""How a command ends when it is interrupted or terminated: soon, with one sentence, and with nothing half-written.

Python handles a signal between two steps of its main thread, which may be minutes away while XLA computes. So a thread
waits for the signal too. It gives the main thread a moment to end in good order, and ends the process otherwise.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["end_if_stopped", "said", "shielded", "watch"]

_PATIENCE = 0.8  # seconds
_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}

_received: list[int] = []
_raised: list[int] = []
_printed = threading.Event()


def watch() -> None:
    """From now on each of these signals ends the process within two seconds, with the exit code of shells (128 + n).

    A signal that the process was told to ignore (nohup) stays ignored.
    """
    quiet = "ignore:resource_tracker:UserWarning"  # of the process that frees what killed workers held
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
    """The processes that start in this block, if `jobs` are several, do not hear Ctrl-C: this process ends them."""
    if jobs < 2:
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # it would undo the next line when the first of them starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def said() -> tuple[str, int]:
    """Why the command ends, which the caller prints, and its exit code."""
    _printed.set()
    number = signal.Signals(_received[0]) if _received else signal.SIGINT
    return _WORDS[number], 128 + number


def end_if_stopped() -> None:
    """End the process if it was told to end: XLA's threads, which go on, would crash it while Python shuts down."""
    if _received:
        _end()


def _interrupt(number: int, frame: Any) -> None:
    _received.append(number)
    if not _raised:  # a second one would interrupt the first one's cleaning up
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
    show_cursor = "\r\x1b[K\x1b[?25h" if os.isatty(2) else ""  # a progress bar hides it
    printed = _printed.is_set()
    words, code = said()
    os.write(2, f"{show_cursor}{'' if printed else words + chr(10)}".encode())  # no lock, which the others may hold
    os._exit(code)
