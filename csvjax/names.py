"""Names of models, benchmarks and columns: check them, find their positions, and quote them in errors."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Int

from csvjax.errors import InputError

__all__ = ["checked", "hint", "positions", "some"]


def some(names: Iterable[object], shown: int = 3) -> str:
    """The first `shown` names in quotes, and how many more there are."""
    quoted = [repr(str(name)) for name in names]
    return ", ".join(quoted[:shown]) + (f" and {len(quoted) - shown} more" if len(quoted) > shown else "")


def hint(name: str, known: Iterable[str]) -> str:
    """Advice for an unknown `name`: the known name with the nearest spelling, or the first known names."""
    known = list(known)
    lower = {k.casefold(): k for k in reversed(known)}
    close = difflib.get_close_matches(str(name).casefold(), lower, 1)
    return (
        f"the nearest is {lower[close[0]]!r}" if close else f"known are {some(known, 8)}" if known else "there is none"
    )


def checked(names: Iterable[object], what: str) -> tuple[str, ...]:
    """The names as a tuple of distinct, non-empty strings. `what` says in errors what the names are, such as "lm".

    Raises: InputError for something that is not a string, an empty name, or the same name twice.
    """
    kept: dict[str, int] = {}
    for at, name in enumerate(names):
        if not isinstance(name, str) or not name:
            raise InputError(
                f"expected a non-empty string as the name of {what} number {at + 1}, found {name!r}; give it a name"
            )
        if name in kept:
            raise InputError(
                f"expected each {what} once, found {name!r} as number {kept[name] + 1} and number {at + 1}; "
                f"rename or drop one of them"
            )
        kept[name] = at
    return tuple(kept)


def positions(wanted: Sequence[str], names: Sequence[str], what: str) -> Int[np.ndarray, " wanted"]:
    """The position of each wanted name in `names`.

    Raises: InputError for a name that is not in `names`, and for a string in place of a list of names.
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
