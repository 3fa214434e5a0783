"""Errors that a user can act on: one sentence that says what was expected, what was found, where, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["ArgumentError", "CsvjaxError", "FitWarning", "InputError", "Remedy", "installed"]


class CsvjaxError(Exception):
    """Base of every error that csvjax raises on purpose; the command line prints its sentence and exits with 2."""


class InputError(CsvjaxError):
    """A file, table, column, name or option is not what was expected."""


@dataclass(frozen=True)
class Remedy:
    """Something to do with an argument of the function that raised: `text` has {} in the place of the argument.

    `example`: a value, as Python writes it. `otherwise`: what to do where there is no such argument.
    """

    text: str
    argument: str
    example: str = "..."
    otherwise: str = ""


class ArgumentError(InputError):
    """An InputError whose remedies may name arguments, so that a command line can name its own options instead."""

    def __init__(self, problem: str, *remedies: str | Remedy) -> None:
        self.problem, self.remedies = problem, remedies
        super().__init__(self.sentence(lambda remedy: f"{remedy.argument}={remedy.example}"))

    def sentence(self, spelling: Callable[[Remedy], str | None]) -> str:
        """The error in one sentence; `spelling` writes the argument of a remedy, None if there is none to give."""
        found = []
        for remedy in self.remedies:
            if isinstance(remedy, str):
                found.append(remedy)
                continue
            argument = spelling(remedy)
            found.append(remedy.otherwise if argument is None else remedy.text.format(argument))
        return "; ".join([self.problem, ", or ".join(part for part in found if part)])


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
