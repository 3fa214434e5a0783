"""The memory that draws need, and how many of them are drawn at once so that it is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from csvjax.errors import InputError

__all__ = ["PIECE", "bytes_for", "drawing", "piece", "piece_for"]

PIECE = 50
"""Draws at once if memory is not limited."""

# Measured with `python -m benchmarks.memory` on a CPU. Programs and their compilation take the first; a draw of a cell
# that is kept, and one of a piece that is being drawn (whose residual is integrated out by quadrature), the others.
_PROGRAMS = 1000 * 2**20
_KEPT, _AT_ONCE = 64, 1500
_piece: ContextVar[int] = ContextVar("piece", default=PIECE)


def bytes_for(draws: int, cells: int, piece: int = PIECE, losses: int = 0) -> int:
    """An upper estimate of the bytes of resident memory that a process needs for draws of all cells.

    Args:
        draws: number of draws that are kept.
        cells: models times benchmarks.
        piece: number of draws at once.
        losses: numbers in the table of losses.
    """
    return _PROGRAMS + cells * (draws * _KEPT + piece * _AT_ONCE) + 24 * losses


def piece_for(memory: int, draws: int, lms: int, benchmarks: int, losses: int = 0) -> int:
    """The largest number of draws at once that keeps the memory, at most `PIECE`.

    Raises: InputError if one at a time needs more.
    """
    cells = lms * benchmarks
    least = bytes_for(draws, cells, 1, losses)
    if least > memory:
        raise InputError(
            f"expected at least {_said(least)} for {draws:,} draws of {lms:,} models and {benchmarks:,} benchmarks, "
            f"found --memory {_said(memory)}; give more, or use fewer --draws, models or benchmarks"
        )
    room = memory - bytes_for(draws, cells, 0, losses)
    return min(PIECE, room // (cells * _AT_ONCE))


@contextmanager
def drawing(at_once: int | None) -> Iterator[None]:
    """Draw this number of draws at once in the block; None for the default. The draws do not depend on it."""
    token = _piece.set(at_once or PIECE)
    try:
        yield
    finally:
        _piece.reset(token)


def piece() -> int:
    """The number of draws at once."""
    return _piece.get()


def _said(size: int) -> str:
    return f"{size / 2**30:.2f} GiB"
