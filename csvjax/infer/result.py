"""The result of every method of inference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

__all__ = ["Fit", "Status"]


@dataclass(frozen=True)
class Status:
    """How a fit ended. sentence: what happened and, if something is wrong, what to do."""

    ok: bool
    sentence: str

    def __str__(self) -> str:
        return self.sentence


class Fit(NamedTuple):
    """Draws of the unconstrained parameters, from any method.

    method: its settings. x [chain, draw, n]: a mode is one draw of one chain. mode [n]: if the method has one.
    diagnostics: arrays by name, from which the status was derived; documented by each method. optimum: the result of
    the search for the mode, from which another method may start.
    """

    method: Any
    x: Float[np.ndarray, "chain draw n"]
    mode: Float[np.ndarray, " n"] | None
    status: Status
    diagnostics: dict[str, np.ndarray]
    optimum: Any = None

    @property
    def name(self) -> str:
        return type(self.method).__name__.lower()

    @property
    def draws(self) -> Float[np.ndarray, "draw n"]:
        """The draws of all chains, one after the other."""
        return self.x.reshape(-1, self.x.shape[-1])
