"""The joint law as a method among the others, averaged over the number of capabilities.

A fit is Laplace's approximation for each number of capabilities K. Their shares of the predictive draws are their
posterior probabilities under equal prior ones, log p(y | K) = -potential(mode) + n/2 log 2 pi - log det H / 2 + the log
of the number of equal modes, so nothing is chosen by hand and nothing by a held-out score. Rows that are to be
predicted take part in the fit with what the view shows of them, never with their targets.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float

from csvjax.baselines.view import Need, View
from csvjax.errors import FitWarning, InputError
from csvjax.infer import Laplace, Map
from csvjax.law.density import Density
from csvjax.laws.fit_joint import joint_density, joint_log_evidence, solved
from csvjax.laws.joint_evidence import COVARIATES, log_amount
from csvjax.laws.joint_model import JointEvidence, JointPriors
from csvjax.laws.joint_predictive import predict_new
from csvjax.laws.outliers import fit_without_outliers
from csvjax.precision import float64

__all__ = ["JointFit", "JointMethod", "joint", "joint_compute"]

_ROWS, _LEAST, _FAMILIES = 50, 100, 50  # rows and families come in multiples; at least so many rows
_PIECE = 50  # draws


@dataclass(frozen=True)
class JointMethod:
    """`capabilities`: the numbers K that are averaged. `covariates`: amounts as in `joint_evidence.covariates`.

    `count`: draws of the parameters for each K. `widen`: as in `Laplace`. Scores of larger models leave a law that fits
    those of smaller ones, and by more than their likelihood says.
    """

    name: str
    needs: frozenset[Need]
    capabilities: tuple[int, ...] = (1, 2, 3, 4)
    covariates: tuple[str, ...] = ("flops",)
    priors: JointPriors = JointPriors()
    count: int = 400
    widen: float = 1.0
    source: str = "after arXiv 2405.10938, 2412.06540 and 2506.13216"

    @float64
    def fit(self, view: View, key: jax.Array) -> JointFit:
        """Fit the targets that `view` shows, and everything else that it shows of any row.

        Raises: InputError if a covariate is known of no two different rows.
        """
        seen = view.only(self.needs)
        e = self._evidence(seen, seen)
        members = []
        for k in self.capabilities:
            density = joint_density(k, self.priors)
            with warnings.catch_warnings():
                # A number of capabilities that has no share of the draws may warn.
                warnings.simplefilter("ignore", FitWarning)
                method = Laplace(draws=self.count, map=Map(starts=4, finalists=2), widen=self.widen)
                found = fit_without_outliers(density, e, method, jax.random.fold_in(key, k))
            outlier = found.outlier[: len(view.family)]
            members.append(Member(density, found.fit.draws, joint_log_evidence(found, k), outlier))
        return JointFit(self, seen, members)

    def _evidence(self, view: View, fitted: View) -> JointEvidence:
        """Evidence of the rows of `view`, scaled and numbered as the rows of `fitted` are.

        Rows and families are filled up to round numbers with ones of which nothing is seen, so that problems of like
        size share what was compiled.
        """
        score = np.hstack([view.target, view.score])
        rows = len(score)
        x = np.zeros((rows, len(self.covariates)))
        amounts, its = ({n: getattr(v, n) for n in COVARIATES} for v in (view, fitted))
        for j, name in enumerate(self.covariates):
            known = log_amount(its, name)[fitted.train]
            known = known[np.isfinite(known)]
            if len(np.unique(known)) < 2:
                raise InputError(
                    f"expected two different values of {name} in the training rows, found {len(np.unique(known))}"
                )
            x[:, j] = (log_amount(amounts, name) - known.mean()) / known.std()
        names = [str(name) for name in np.unique(fitted.family[fitted.train])]
        index = {name: i for i, name in enumerate(names)}
        # A row whose family has no training row is one of a kind, and so is one whose family is not to be seen.
        family = np.array([index.get(str(name), -1) for name in view.family], int)
        alone = family < 0
        family[alone] = len(names) + np.arange(alone.sum())
        more, families = max(-rows % _ROWS, _LEAST - rows), len(names) + alone.sum() + 1
        score, x = (np.vstack([a, np.full((more, a.shape[1]), np.nan)]) for a in (score, x))
        return JointEvidence(
            score=np.nan_to_num(score),
            seen=np.isfinite(score),
            weight=np.ones(rows + more),
            n_items=np.concatenate([view.n_items, view.score_n_items]),
            floor=np.concatenate([view.floor, view.score_floor]),
            ceiling=np.concatenate([view.ceiling, view.score_ceiling]),
            covariate=np.nan_to_num(x),
            known=np.isfinite(x),
            family=np.concatenate([family, np.full(more, families - 1)]),
            families=np.zeros(families + -families % _FAMILIES),
            loss=np.zeros((rows + more, 0)),
        )


def joint() -> JointMethod:
    """Everything that is known of a row: its other benchmarks, its compute, its family.

    `widen` was chosen on the training rows of observational scaling laws, the smaller 65 % of each task against the
    rest: intervals of 50, 80 and 90 % hold 37, 66, 74 % of the larger models' scores with 1; 46, 72, 78 % with 1.25;
    52, 76, 83 % with 1.5; CRPS 0.0583, 0.0578, 0.0578. Ceilings are 1, as in the published law. Inferred ones have a
    CRPS of 0.0549 there, the same squared error, and fail on test rows (`experiments.obs_scaling`).
    """
    priors = JointPriors(ceiling=float("inf"))
    return JointMethod("joint law", frozenset({"scores", "compute", "family"}), priors=priors, widen=1.5)


def joint_compute() -> JointMethod:
    """Size, training tokens and family, as Sloth has them.

    Its priors are the defaults.
    """
    amounts = ("params", "tokens", "params*tokens")
    needs: frozenset[Need] = frozenset({"compute", "family"})
    return JointMethod("joint law of compute", needs, (1, 2, 3), amounts)


class Member(NamedTuple):
    """A fit with one number of capabilities: draws [draw, n], log p(y | K), and the rows that it left out.

    A row that was left out is still predicted from all that the view shows of it, its own scores included.
    """

    density: Density
    x: Float[np.ndarray, "draw n"]
    log_evidence: float
    outlier: Bool[np.ndarray, " row"]


@dataclass(frozen=True, eq=False)
class JointFit:
    """Fits with every number of capabilities. `shares` [member]: of the predictive draws."""

    method: JointMethod
    seen: View
    members: list[Member]

    @property
    def shares(self) -> Float[np.ndarray, " member"]:
        value = np.array([m.log_evidence for m in self.members])
        weight = np.exp(value - value.max())
        return weight / weight.sum()

    def predict(self, view: View) -> Float[np.ndarray, "row target"]:
        """Mean of the predictive draws, for which all rows have the same random numbers: each depends on itself."""
        return self._draw(view, jax.random.key(0), self.method.count, np.zeros(len(view.family), int)).mean(axis=0)

    def draws(self, view: View, key: jax.Array, count: int) -> Float[np.ndarray, "draw row target"]:
        """Draws of an observed score, of each row given what the view shows of it."""
        return self._draw(view, key, count)

    @float64
    def draws_of(
        self, member: Member, view: View, key: jax.Array, count: int, stream: np.ndarray | None = None
    ) -> Float[np.ndarray, "draw row target"]:
        """The draws of one number of capabilities alone. stream [row]: see `predict_new`; by default rows differ."""
        view = view.only(self.method.needs)
        training = self.seen.take(self.seen.train & ~member.outlier)
        old, new = (self.method._evidence(v, self.seen) for v in (training, view))
        rows, targets = view.target.shape
        number = np.zeros(len(new.score), int)
        number[:rows] = np.arange(rows) if stream is None else stream
        x = member.x[np.arange(count) * len(member.x) // count]
        parts = []
        for start in range(0, count, _PIECE):  # pieces of one shape, which are compiled once
            piece = np.resize(x[start : start + _PIECE], (_PIECE, x.shape[1]))
            drawn = predict_new(member.density, old, new, piece, jax.random.fold_in(key, start), number)
            parts.append(np.asarray(drawn.score)[:, :rows, :targets])
        found = np.concatenate(parts)[:count]
        return solved(found, found)

    def _draw(self, view: View, key: jax.Array, count: int, stream: np.ndarray | None = None) -> np.ndarray:
        edges = np.round(np.concatenate([[0.0], np.cumsum(self.shares)]) * count)
        parts = [
            self.draws_of(member, view, jax.random.fold_in(key, i), int(number), stream)
            for i, (number, member) in enumerate(zip(np.diff(edges), self.members, strict=True))
            if number
        ]
        return np.concatenate(parts)
