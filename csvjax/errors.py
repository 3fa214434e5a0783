"""Errors that a user can act on: one sentence that says what was expected, what was found, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["CsvjaxError", "FitWarning", "InputError", "installed"]


class CsvjaxError(Exception):
    """Base of every error that csvjax raises on purpose; the command line prints its sentence and exits with 2."""


class InputError(CsvjaxError):
    """A file, table, column, name or option is not what was expected."""


class FitWarning(UserWarning):
    """A fit ended in a state that its user should know: the sentence is the result's status."""


@contextmanager
def installed(what: str, extra: str) -> Iterator[None]:
    """Imports for which `what` needs the optional dependencies `extra`. Raises: InputError for one that is missing."""
    try:
        yield
    except ImportError as missing:
        raise InputError(
            f"{what} needs {missing.name}, which is not installed: pip install 'csvjax[{extra}]'"
        ) from None
