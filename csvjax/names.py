"""Names of models, benchmarks, columns: checked once, looked up by position, and quoted in errors."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Int

from csvjax.errors import InputError

__all__ = ["checked", "hint", "positions", "some"]


def some(names: Iterable[object], most: int = 3) -> str:
    """The first `most` names in quotes, and how many more there are."""
    quoted = [repr(str(name)) for name in names]
    return ", ".join(quoted[:most]) + (f" and {len(quoted) - most} more" if len(quoted) > most else "")


def hint(name: str, known: Iterable[str]) -> str:
    """What to choose in place of an unknown `name`: the nearest spelling, or the first of the known ones."""
    known = list(known)
    lower = {k.casefold(): k for k in reversed(known)}
    close = difflib.get_close_matches(str(name).casefold(), lower, 1)
    return (
        f"the nearest is {lower[close[0]]!r}" if close else f"known are {some(known, 8)}" if known else "there is none"
    )


def checked(names: Iterable[object], what: str) -> tuple[str, ...]:
    """The names as a tuple of distinct, non-empty strings; `what` names them in the error.

    Raises: InputError for something that is not a string, an empty name, or the same name twice.
    """
    kept: dict[str, int] = {}
    for at, name in enumerate(names):
        if not isinstance(name, str) or not name:
            raise InputError(
                f"expected a non-empty string as the name of {what} number {at + 1}, found {name!r}; name it"
            )
        if name in kept:
            raise InputError(
                f"expected each {what} once, found {name!r} as number {kept[name] + 1} and number {at + 1}; "
                f"rename or drop one of them"
            )
        kept[name] = at
    return tuple(kept)


def positions(wanted: Sequence[str], names: Sequence[str], what: str) -> Int[np.ndarray, " wanted"]:
    """Where each wanted name stands in `names`.

    Raises: InputError for a name that is not there, and for one string in place of several names.
    """
    if isinstance(wanted, str):
        raise InputError(f"expected a list of {what} names, found the string {wanted!r}; write [{wanted!r}]")
    place = {name: at for at, name in enumerate(names)}
    for name in wanted:
        if name not in place:
            raise InputError(
                f"expected names that the table has, found no {what} named {str(name)!r}: {hint(name, names)}"
            )
    return np.array([place[name] for name in wanted], dtype=int)
