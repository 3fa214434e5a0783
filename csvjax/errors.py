"""Errors that a user can act on. Each is one sentence: what was expected, what was found, where, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["ArgumentError", "CsvjaxError", "FitWarning", "InputError", "Remedy", "installed"]


class CsvjaxError(Exception):
    """Base class of all errors that csvjax raises on purpose. The command line prints the sentence and exits with 2."""


class InputError(CsvjaxError):
    """A file, table, column, name or option cannot be used as it is."""


@dataclass(frozen=True)
class Remedy:
    """A way to mend an error by changing an argument of the function that raised it.

    Args:
        text: the advice, with {} in the place of the argument.
        argument: the name of the argument in Python.
        example: a value, as Python writes it.
        otherwise: the advice for a command line that has no such option.
    """

    text: str
    argument: str
    example: str = "..."
    otherwise: str = ""


class ArgumentError(InputError):
    """An InputError whose remedies name Python arguments, so that a command line can name its options instead."""

    def __init__(self, problem: str, *remedies: str | Remedy) -> None:
        self.problem, self.remedies = problem, remedies
        super().__init__(self.sentence(lambda remedy: f"{remedy.argument}={remedy.example}"))

    def sentence(self, spelling: Callable[[Remedy], str | None]) -> str:
        """The error in one sentence; `spelling` writes the argument of a remedy, or returns None if it has none."""
        found = []
        for remedy in self.remedies:
            if isinstance(remedy, str):
                found.append(remedy)
                continue
            argument = spelling(remedy)
            found.append(remedy.otherwise if argument is None else remedy.text.format(argument))
        return "; ".join([self.problem, ", or ".join(part for part in found if part)])


class FitWarning(UserWarning):
    """A fit did not converge, or its result needs care; the text is the status of the result."""


@contextmanager
def installed(what: str, extra: str) -> Iterator[None]:
    """A block with imports of the optional dependencies `extra`, which `what` needs.

    Raises: InputError for a package that is not installed, with the command that installs it.
    """
    try:
        yield
    except ImportError as missing:
        raise InputError(
            f"{what} needs {missing.name}, which is not installed: pip install 'csvjax[{extra}]'"
        ) from None
