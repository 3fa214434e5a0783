"""Processes of one extraction: what the first one says, and that none of them waits for one that has failed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread

import jax
import numpy as np

from csvjax.errors import InputError

__all__ = ["Meeting"]

_BYTES = 1024  # of a sentence that is told
_PATIENCE = 60.0  # seconds to wait for processes that may be in a computation that never ends


class _ElsewhereError(InputError):
    """Another process has failed, and has said so."""


class Meeting:
    """Where processes meet: each says whether it has failed, and a failure of one is an error of all.

    A process that raised and left would let the others wait in a broadcast for ever. So one that fails on its own (the
    store, the weights, a disk that is full) sets `failure`, goes on in step, and tells it at the next meeting.
    """

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self._told = False

    def meet(self) -> None:
        """Wait for all. Raises: the `failure` of this process, once it is told, or the sentence of another one's."""
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
        """What the first process says, on every process. Raises: as `meet`."""
        self.meet()
        if jax.process_count() == 1:
            return np.asarray(value)
        from jax.experimental.multihost_utils import broadcast_one_to_all

        return np.asarray(broadcast_one_to_all(np.asarray(value)))

    @contextmanager
    def held(self) -> Iterator[None]:
        """A block that all processes enter and leave together: an error in one of them is raised in each."""
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
        """After an error outside of `rest`, work that all processes share: go on with it until the others know."""
        if jax.process_count() == 1:
            return
        self.failure = error
        with suppress(Exception):  # it ends with the failure itself
            for _ in rest:
                pass

    def _tell(self) -> None:
        def meet() -> None:
            with suppress(Exception):  # the failure itself
                self.meet()

        thread = Thread(target=meet, daemon=True)
        thread.start()
        thread.join(_PATIENCE)


def _written(failure: Exception | None) -> np.ndarray:
    sentence = "" if failure is None else str(failure) or type(failure).__name__
    raw = np.frombuffer(sentence.encode()[:_BYTES], np.uint8)
    return np.pad(raw, (0, _BYTES - len(raw)))
