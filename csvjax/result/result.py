"""The result of a fit, the same for every method. Predictions, tables and files are made from it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import jax
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from csvjax import names
from csvjax.data.dataset import Dataset
from csvjax.errors import InputError
from csvjax.infer.result import Status
from csvjax.law.density import Density, law_density
from csvjax.law.evidence import Known
from csvjax.law.model import Evidence, Law
from csvjax.law.predictive import Predictive, draw_pieces, draw_salience
from csvjax.precision import float64

if TYPE_CHECKING:
    import xarray as xr

    from csvjax.result.draws import LawDraws

__all__ = ["LEAST", "Result", "finite_draws", "outlier_note"]

LEAST = 400
"""Draws of scores, at least."""

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Result:
    """A fit: draws of the parameters, with the law, the data and the status.

    Attributes:
        law: the law that was fitted.
        dataset: all models with all scores, also those that were held out.
        evidence: what the fit used of the dataset.
        known: scales, groups of tokens, and what was assumed of floors.
        method: name of the inference method.
        x: draws of the parameters; one draw if the method finds only a mode.
        status: how the fit ended, as a sentence.
        diagnostics: diagnostics of the method, by name.
        left_out: scores of outliers, which were given but not fitted.
        seed: seed of all random numbers.
    """

    law: Law
    dataset: Dataset
    evidence: Evidence
    known: Known
    method: str
    x: Float[np.ndarray, "chain draw n"]
    status: Status
    diagnostics: dict[str, np.ndarray]
    left_out: Bool[np.ndarray, "lm benchmark"]
    seed: int = 0

    def __repr__(self) -> str:
        seen = int(np.sum(self.evidence.seen))
        return f"<csvjax.Result: {seen} scores of {len(self.dataset.lms)} models by {self.method}; {self.status}>"

    def _repr_html_(self) -> str:
        from csvjax.result.html import result_html

        return result_html(self)

    @property
    def density(self) -> Density:
        return law_density(self.law)

    @property
    def benchmarks(self) -> tuple[str, ...]:
        assert self.dataset.scores is not None
        return self.dataset.scores.benchmarks

    @property
    def assumed(self) -> tuple[str, ...]:
        """A sentence for each assumption about the benchmarks."""
        return self.known.bounds.told

    @property
    def outliers(self) -> tuple[str, ...]:
        """Names of the models that were left out."""
        return tuple(map(str, self.dataset.lms.index[np.flatnonzero(self.left_out.any(axis=1))]))

    @property
    def families(self) -> tuple[str, ...]:
        """Names of the families, sorted."""
        return tuple(map(str, np.unique(self.dataset.lms["family"].to_numpy(str))))

    def draws(self, least: int = LEAST) -> Float[np.ndarray, "draw n"]:
        """Draws of the parameters, repeated if there are fewer than `least`; each gets new draws of everything else."""
        x = self.x.reshape(-1, self.x.shape[-1])
        return x if len(x) >= least else np.resize(x, (least, x.shape[1]))

    @cached_property
    @float64
    def cells(self) -> Predictive:
        """Capabilities, logits and scores of all models, a draw for each of `draws()`, given the fitted scores.

        Arrays with a number for each score are float32. Draws that are not finite are replaced (`finite_draws`).
        """
        key, parts = jax.random.key(self.seed), []
        for piece in draw_pieces(self.density, self.law.tail, self.evidence, self.draws(), key):
            small = {name: getattr(piece, name).astype(np.float32) for name in ("logit", "mean", "score")}
            parts.append(piece._replace(**small))
        joined = jax.tree.map(lambda *a: np.concatenate(a), *parts)
        return finite_draws(joined, joined.logit)

    @cached_property
    def labelled(self) -> LawDraws:
        """One draw of capabilities, logits and likelihoods for each draw of the parameters."""
        from csvjax.result.draws import law_draws

        return law_draws(self)

    @property
    def posterior(self) -> xr.DataTree:
        """Labelled draws, aligned, in the groups that ArviZ expects: see `csvjax.result.draws.to_tree`."""
        from csvjax.result.draws import to_tree

        return to_tree(self, self.labelled)

    def salience(self, level: float = 0.9) -> pd.DataFrame:
        """The salience of every unit of text for every benchmark, in logits per nat.

            sum over k of loading[b, k] loss_slope[k] s[k, u] / unit[k]  +  own_slope[b] own_s[b, u] / own_unit[b]

        This is how many logits a benchmark loses if the loss on the unit rises by one nat and nothing else changes. A
        positive number means that a lower loss on this unit goes with a higher score. The salience of a group is
        divided among its units in proportion to their bytes. Rotations of the capabilities do not change it.

        Args:
            level: probability of the interval.

        Returns: a row for each benchmark and unit with the columns benchmark, token, document, domain, start, bytes,
        base_weight (share of the bytes), mean, lower and upper (logits per nat), and share (of the benchmark's total).

        Raises: InputError for a fit without losses.
        """
        losses, units = self.dataset.losses, self.known.units
        if losses is None or units is None:
            raise InputError("expected a fit with losses, found one without; add losses to the data, and fit again")
        grouped = _salience(self)
        ends = np.quantile(grouped, [0.5 - level / 2, 0.5 + level / 2], axis=0)
        base = losses.base_weight
        # The salience of a group is per nat/byte of its mean loss; this makes it per nat of one unit of the group.
        share = base / np.where(units.weight > 0, units.weight, 1.0)[units.label]
        size = losses.units["bytes"].to_numpy(float)
        parts = []
        for b, benchmark in enumerate(self.benchmarks):
            mean = grouped[:, b].mean(axis=0)
            total = mean.sum()
            parts.append(
                losses.units.assign(
                    benchmark=benchmark,
                    base_weight=base,
                    mean=mean[units.label] * share / size,
                    lower=ends[0, b][units.label] * share / size,
                    upper=ends[1, b][units.label] * share / size,
                    share=(mean / (total if total else 1.0))[units.label] * share,
                )
            )
        return pd.concat(parts, ignore_index=True)

    def with_status(self, status: Status) -> Result:
        """The same fit with another status; draws that already exist are kept."""
        new = replace(self, status=status)
        if "cells" in self.__dict__:
            new.__dict__["cells"] = self.cells
        return new

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fit into the folder `path`, for `csvjax.load`: see `csvjax.result.files.save_fit`."""
        from csvjax.result.files import save_fit

        save_fit(self, path)


@float64
def _salience(result: Result) -> Float[np.ndarray, "draw benchmark group"]:
    found = np.asarray(draw_salience(result.density, result.evidence, result.draws()))
    return finite_draws(found, found)


def outlier_note(lms: Sequence[str]) -> str:
    """The sentence about models that were left out of a fit."""
    return (
        f"left out of the fit: {names.some(lms)}, whose scores the law cannot explain (a broken evaluation, for "
        f"example); check their evaluation, or keep them (--keep-outliers, Law(outliers=0))"
    )


def finite_draws(drawn: T, by: Float[np.ndarray, "draw ..."]) -> T:
    """Arrays [draw, ...] in which every draw that is not finite in `by` is replaced by another draw.

    Far from the mode, the latent field may have no solution.

    Raises: InputError if no draw is finite.
    """
    ok = np.isfinite(by).reshape(len(by), -1).all(axis=1)
    if ok.all():
        return drawn
    if not ok.any():
        raise InputError("expected draws with finite scores, found none; the fit failed, so use tighter priors")
    at = np.where(ok, np.arange(len(ok)), np.resize(np.flatnonzero(ok), len(ok)))
    return jax.tree.map(lambda a: a[at], drawn)
