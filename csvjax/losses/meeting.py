"""Keeps the processes of one extraction in step, so that none waits for a process that has failed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread

import jax
import numpy as np

from csvjax.errors import InputError

__all__ = ["Meeting"]

_BYTES = 1024  # limit of the message of a failure
_PATIENCE = 60.0  # seconds to wait for other processes, which may hang


class _ElsewhereError(InputError):
    """Another process has failed and has reported it."""


class Meeting:
    """A point where processes meet and report whether they have failed. If one has failed, all raise an error.

    If a process raised an error and left, the others would wait in a broadcast forever. So a process that fails alone
    (store, weights, full disk) sets `failure`, stays in step, and reports it at the next meeting.
    """

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self._told = False

    def meet(self) -> None:
        """Wait for all processes.

        Raises: the `failure` of this process after telling the others, or an error with the message of another process.
        """
        if jax.process_count() > 1:
            from jax.experimental.multihost_utils import process_allgather

            said = np.asarray(process_allgather(_written(self.failure)))
            if self.failure is None:
                for process in np.flatnonzero(said.any(axis=1)).tolist():
                    sentence = said[process].tobytes().rstrip(b"\0").decode(errors="replace")
                    raise _ElsewhereError(f"process {process} of {len(said)} stopped: {sentence}")
        if self.failure is not None:
            self._told = True
            raise self.failure

    def agree(self, value: np.ndarray | int) -> np.ndarray:
        """The value of the first process, on every process. Raises as `meet` does."""
        self.meet()
        if jax.process_count() == 1:
            return np.asarray(value)
        from jax.experimental.multihost_utils import broadcast_one_to_all

        return np.asarray(broadcast_one_to_all(np.asarray(value)))

    @contextmanager
    def held(self) -> Iterator[None]:
        """A block that all processes enter and leave together; an error in one is raised in all."""
        try:
            yield
            self.meet()
        except _ElsewhereError:
            raise
        except Exception as error:
            if jax.process_count() > 1 and not self._told:
                self.failure = error
                self._tell()
            raise

    def finish(self, error: Exception, rest: Iterator[object]) -> None:
        """After an error outside the shared work `rest`, continue with this work until the other processes know."""
        if jax.process_count() == 1:
            return
        self.failure = error
        with suppress(Exception):  # it ends by raising the failure
            for _ in rest:
                pass

    def _tell(self) -> None:
        def meet() -> None:
            with suppress(Exception):  # it raises the failure
                self.meet()

        thread = Thread(target=meet, daemon=True)
        thread.start()
        thread.join(_PATIENCE)


def _written(failure: Exception | None) -> np.ndarray:
    sentence = "" if failure is None else str(failure) or type(failure).__name__
    raw = np.frombuffer(sentence.encode()[:_BYTES], np.uint8)
    return np.pad(raw, (0, _BYTES - len(raw)))
