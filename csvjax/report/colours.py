"""A diverging scale of nine steps for ratios: how many times its share of the text a token or domain weighs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["STEPS", "Scale", "ratio_text", "scale_of"]

STEPS = 4  # on each side of "as its share of bytes"
CLASSES = {step: f"h{step}" if step > 0 else f"l{-step}" if step < 0 else "" for step in range(-STEPS, STEPS + 1)}

TIMES, OVER = "\N{MULTIPLICATION SIGN}", "\N{DIVISION SIGN}"


@dataclass(frozen=True)
class Scale:
    """`octaves`: doublings of the ratio from one step to the next."""

    octaves: float

    def classes(self, ratio: NDArray[np.float64]) -> list[str]:
        """Style class of each ratio [n]: `l4` .. `l1` below its share, "" about equal, `h1` .. `h4` above."""
        with np.errstate(divide="ignore"):  # less than nothing, as a contrast may weigh a token, is the lowest step
            steps = np.clip(np.round(np.log2(np.maximum(ratio, 0.0)) / self.octaves), -STEPS, STEPS)
        return [CLASSES[int(step)] for step in steps]

    @property
    def legend(self) -> list[tuple[str, str]]:
        """(style class, ratio as text) of the nine steps, the lowest first."""
        return [(CLASSES[step], ratio_text(2.0 ** (step * self.octaves))) for step in CLASSES]


def scale_of(ratio: NDArray[np.float64]) -> Scale:
    """The scale whose last step is reached by the outermost 2 % of the ratios.

    A step is a tenth of an octave or more, so that a salience that is nearly flat does not look like one that is not.
    """
    outer = np.quantile(np.abs(np.log2(np.maximum(ratio, 1e-6))), 0.98) if ratio.size else 1.0
    return Scale(float(max(outer / STEPS, 0.1)))


def ratio_text(ratio: float) -> str:
    """How many times more, or after a division sign how many times less; one decimal up to ten."""
    if ratio < 0:
        return f"\N{MINUS SIGN}{ratio_text(-ratio)}"
    if ratio == 0:
        return f"{TIMES}0"
    sign, size = (TIMES, ratio) if ratio >= 1 else (OVER, 1 / ratio)
    text = f"{size:.2f}" if size < 1.995 else f"{size:.1f}" if size < 9.95 else f"{size:.0f}"
    return f"{sign}{text.rstrip('0').rstrip('.') if '.' in text else text}"
