"""A text of any length and the losses of all models on it, in chunks of units: in memory, or read during computation.

All chunks have the same shape, so that each program is compiled once; the last chunk is padded with units of weight 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Float, Int

from csvjax.errors import InputError
from csvjax.scale.kernels import LANES, TILES, to_tiles
from csvjax.types import AnyArray

__all__ = ["CHUNK", "STEP", "Chunk", "Corpus", "in_memory", "laid_out", "specs_of"]

CHUNK = 65_536
"""Units of a chunk that is read from disk: 13 MB for 100 models in 16 bits."""
STEP = TILES * LANES
"""The number of units of a chunk is a multiple of this."""


class Chunk(NamedTuple):
    """loss: nats, flat float32 [lm, unit] or float16 in tiles (`csvjax.scale.kernels`). log_base [unit]: log pi, -inf
    for padding. per_byte [unit]: 1 / bytes.
    """

    loss: AnyArray
    log_base: AnyArray
    per_byte: AnyArray


def specs_of(chunk: Chunk) -> Any:
    """A `Chunk` of partitions: the position of the unit axis in each part."""
    unit: Any = PartitionSpec("unit")
    flat: Any = PartitionSpec(None, "unit")
    return Chunk(flat if chunk.loss.ndim == 2 else unit, unit, unit)


@dataclass(frozen=True, eq=False)
class Corpus:
    """lms: names of the models. size [unit]: bytes. chunk: units per chunk. read: number of a chunk -> its losses, as
    in `Chunk`. kept: whether the array from `read` stays unchanged; otherwise its memory is reused two chunks later.
    mesh: devices that share every chunk, with one axis `unit`; None: one device.
    """

    lms: tuple[str, ...]
    size: Int[np.ndarray, " unit"]
    chunk: int
    read: Callable[[int], Any]
    kept: bool
    mesh: Any = None

    def __post_init__(self) -> None:
        log_base, per_byte = np.log(self.size / self.size.sum(dtype=float)), 1.0 / self.size
        count = -(-len(self.size) // self.chunk)
        filled = count * self.chunk - len(self.size)
        keep = object.__setattr__
        keep(self, "_log_base", np.pad(log_base, (0, filled), constant_values=-np.inf).astype(np.float32))
        keep(self, "_per_byte", np.pad(per_byte, (0, filled)).astype(np.float32))
        keep(self, "_count", count)
        keep(self, "_known", {})  # chunks of a kept corpus, on the device that computes

    @property
    def units(self) -> int:
        return len(self.size)

    @property
    def base_weight(self) -> Float[np.ndarray, " unit"]:
        """pi, the share of the bytes."""
        return self.size / self.size.sum(dtype=float)

    def chunks(self) -> Iterator[tuple[Chunk, slice]]:
        """Every chunk, and its units as a slice. The next chunk is read while the caller works on this one."""
        count: int = self._count  # type: ignore[attr-defined]
        known: dict[int, Chunk] = self._known  # type: ignore[attr-defined]
        if self.kept:
            for i in range(count):
                if i not in known:
                    known[i] = self._placed(i, self.read(i))
                yield known[i], self._here(i)
            return
        with ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(self.read, 0)
            for i in range(count):
                loss = ahead.result()
                if i + 1 < count:
                    ahead = pool.submit(self.read, i + 1)
                yield self._placed(i, loss), self._here(i)

    def _here(self, i: int) -> slice:
        return slice(i * self.chunk, min((i + 1) * self.chunk, self.units))

    def _placed(self, i: int, loss: AnyArray) -> Chunk:
        here = slice(i * self.chunk, (i + 1) * self.chunk)
        chunk = Chunk(loss, self._log_base[here], self._per_byte[here])  # type: ignore[attr-defined]
        if self.mesh is None:
            return jax.device_put(chunk) if self.kept else chunk
        return jax.tree.map(lambda a, spec: jax.device_put(a, NamedSharding(self.mesh, spec)), chunk, specs_of(chunk))

    def padded(self, a: Float[np.ndarray, "column unit"], at: slice) -> Float[np.ndarray, "column place"]:
        """The columns for one chunk, with zeros for the padding."""
        found = np.asarray(a[:, at], np.float32)
        return found if found.shape[1] == self.chunk else np.pad(found, ((0, 0), (0, self.chunk - found.shape[1])))

    def wait(self, found: Any) -> None:
        """Wait for results computed from a chunk, before its memory is reused."""
        if not self.kept:
            jax.block_until_ready(found)


def laid_out(loss: Float[np.ndarray, "lm unit"], dtype: Any, chunk: int) -> np.ndarray:
    """The losses of one chunk in the layout of `Chunk.loss`, padded with zeros."""
    filled = np.pad(loss, ((0, 0), (0, chunk - loss.shape[1])))
    return to_tiles(filled) if dtype == np.float16 else np.ascontiguousarray(filled, np.float32)


def in_memory(
    lms: tuple[str, ...],
    loss: Float[AnyArray, "lm unit"],
    size: Int[np.ndarray, " unit"],
    dtype: Any = np.float32,
    chunk: int | None = None,
    mesh: Any = None,
) -> Corpus:
    """A corpus whose losses, in nats, fit in the memory of the device. chunk: units per chunk; None: a single chunk.

    Raises: InputError for shapes that do not fit, units without bytes, and losses that are not finite.
    """
    if loss.shape != (len(lms), len(size)) or not len(size):
        raise InputError(f"expected losses of shape {(len(lms), len(size))} [model, unit], found {loss.shape}")
    if np.min(size) < 1:
        raise InputError("expected units of at least 1 byte, found one of 0; join it with the unit before it")
    devices = 1 if mesh is None else mesh.size
    step = STEP * devices
    chunk = -(-min(chunk or len(size), len(size)) // step) * step
    parts = []
    for first in range(0, len(size), chunk):
        part = laid_out(np.asarray(loss[:, first : first + chunk]), dtype, chunk)
        if not np.isfinite(part).all():
            raise InputError("expected finite losses, found NaN or infinity; leave out the model or the unit")
        parts.append(jax.device_put(part) if mesh is None else part)
    return Corpus(tuple(lms), np.asarray(size), chunk, parts.__getitem__, True, mesh)
