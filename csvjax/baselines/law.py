"""The law as one of the compared methods, averaged over the number of capabilities.

For each number of capabilities K, the fit is Laplace's approximation or, with hundreds of parameters, the mean-field
one (`csvjax.infer.approximation`). The shares of the fits in the predictive draws are their posterior probabilities
under equal prior probabilities, from log p(y | K) = -potential(mode) + n/2 log 2 pi - log det H / 2, or the bound on
it, + the log of the number of equal modes. So nothing is chosen by hand and nothing by a held-out score. Rows to
predict take part in the fit with everything that the view shows of them, never with their targets.

If the rows to predict are of families without training rows, and there are only two to four training families (corpora,
for example), the evidence contains no information on the differences between families. Then each training family is
left out in turn, and the shares are pseudo-BMA weights (Yao et al. 2018, Bayesian Analysis 13, eq. 8) of log p(y) of
the hidden scores. Its mean over a family's rows on one target counts as one observation, because they are dependent.

With `extrapolates`, the same is done for models that are larger than all fitted ones of their family: the largest
training model of each family is hidden. The hidden scores decide the shares and how much wider predictions of larger
models are than the law says (`csvjax.baselines.extrapolation`).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from csvjax.baselines.extrapolation import excess, growth, largest_of_families, widened
from csvjax.baselines.method import NotApplicable
from csvjax.baselines.view import Need, View
from csvjax.data.dataset import Dataset
from csvjax.data.losses import LossTable
from csvjax.data.scores import ScoreTable
from csvjax.errors import FitWarning
from csvjax.infer import Map, approximation
from csvjax.infer.choose import predict_hidden
from csvjax.infer.outliers import fit_without_outliers, law_log_evidence
from csvjax.law.covariates import AMOUNTS
from csvjax.law.density import law_density
from csvjax.law.evidence import Known, evidence_of, join_families, make_evidence, names_of_groups, pad_rows
from csvjax.law.model import Effect, Law, Priors
from csvjax.law.predictive import draw_pieces
from csvjax.precision import float64
from csvjax.result.result import finite_draws

__all__ = ["LawFit", "LawMethod", "draw_counts", "law", "law_of_compute", "law_of_losses", "law_of_scores"]

_FEW_FAMILIES = 4
_OTHER_TAIL = 50  # added to what the random keys of other tails are made from


@dataclass(frozen=True)
class LawMethod:
    """The law with every number of `capabilities` K, averaged by evidence (0: benchmarks share no capability).

    `covariates`: as in `Law`; those with fewer than two values in the training rows are left out. `tails`: as
    `Law.tail`; each number of capabilities is fitted with each. `family`: whether families have effects. `count`: draws
    of the parameters for each K. `widen`: as in `Laplace`. Scores of larger models deviate from a law fitted to smaller
    ones by more than the likelihood predicts. `extrapolates`: whether the largest training models decide the shares and
    the growth of the spread.
    """

    name: str
    needs: frozenset[Need]
    capabilities: tuple[int, ...] = (1, 2, 3, 4)
    covariates: tuple[str, ...] = ("flops",)
    priors: Priors = Priors()
    tails: tuple[float, ...] = (0.0,)
    family: bool = True
    count: int = 400
    widen: float = 1.0
    extrapolates: bool = False
    source: str = "after arXiv 2405.10938, 2412.06540 and 2506.13216"

    @float64
    def fit(self, view: View, key: jax.Array) -> LawFit:
        """Fit the targets and everything else that `view` shows of any row.

        Raises: NotApplicable if the training rows have none of the data that the method learns from.
        """
        seen = view.only(self.needs)
        losses = "losses" in self.needs and bool(np.isfinite(seen.loss[seen.train]).any())
        covariates = self._usable(_lms(seen, seen)[seen.train])
        if not losses and not covariates and "scores" not in self.needs:
            wanted = " or ".join(sorted(self.needs - {"family"}))
            raise NotApplicable(f"expected training rows with {wanted} that vary, found none; add these columns")
        data = dataset_of(seen, seen, losses)
        effects: tuple[Effect, ...] = ("family",) if self.family and len(set(seen.family[seen.train])) > 1 else ()
        law = Law(self.capabilities[0], covariates, effects, priors=self.priors)
        laws = [replace(law, capabilities=k, tail=tail) for tail in self.tails for k in self.capabilities]
        # The choice between evidence and bound is the same for every number of capabilities.
        e, known = make_evidence(data, np.isfinite(_scores(data)), law)
        e = pad_rows(e, *names_of_groups(data.lms, law))
        # One kind of approximation for all, because evidence cannot be compared with a bound on it.
        sizes = {law.capabilities: jax.eval_shape(law_density(law).start, key, e).shape[0] for law in laws}
        shared = max((size for k, size in sizes.items() if k), default=max(sizes.values()))
        method = approximation(shared, self.count, Map(), self.widen)
        members = []
        for law in laws:
            k = law.capabilities
            its_key = jax.random.fold_in(key, k + (_OTHER_TAIL if law.tail else 0))
            with warnings.catch_warnings():
                # Fits without a share of the draws may warn; this does not matter.
                warnings.simplefilter("ignore", FitWarning)
                found = fit_without_outliers(law_density(law), e, method, its_key, None, law)
            outlier = found.outlier[: len(view.family)]
            members.append(Member(law, known, found.fit.draws, law_log_evidence(found, k), outlier))
        fitted = LawFit(self, seen, losses, members)
        if self.extrapolates and (largest := largest_of_families(seen)).any():
            return _extrapolating(fitted, data, largest, jax.random.fold_in(key, 97))
        inner = _inner_parts(seen, data) if len(members) > 1 else []
        weight = [_inner_score(data, inner, member.law, jax.random.fold_in(key, 97)) for member in members]
        return replace(fitted, inner=np.array(weight) if inner else None)

    def _usable(self, lms: pd.DataFrame) -> tuple[str, ...]:
        """The covariates that vary among these models."""
        found = []
        for name in self.covariates:
            values = np.ones(len(lms))
            for part in name.split("*"):
                values = values * lms[part].to_numpy(float)
            if len(np.unique(values[np.isfinite(values)])) >= 2:
                found.append(name)
        return tuple(found)


def _inner_parts(seen: View, data: Dataset) -> list[Bool[np.ndarray, "row benchmark"]]:
    """The targets of each training family in turn, if the rows to predict are of families without training rows."""
    training, asked = (set(map(str, seen.family[rows])) for rows in (seen.train, ~seen.train))
    if not 2 <= len(training) <= _FEW_FAMILIES or not asked or asked & training:
        return []
    score = np.isfinite(_scores(data))
    score[:, seen.target.shape[1] :] = False
    return [score & (seen.family == name)[:, None] for name in sorted(training)]


def _inner_score(data: Dataset, parts: list[Bool[np.ndarray, "row benchmark"]], law: Law, key: jax.Array) -> float:
    """Sum over hidden families and targets of the mean log density of their scores, in nats."""
    mask, total = np.isfinite(_scores(data)), 0.0
    for i, cells in enumerate(parts):
        log_p = predict_hidden(data, mask, cells, law, jax.random.fold_in(key, i)).log_p
        total += _by_target(log_p, cells)
    return total


def _by_target(log_p: np.ndarray, cells: np.ndarray) -> float:
    """Sum over targets of the mean over their cells."""
    return float(pd.Series(log_p).groupby(np.nonzero(cells)[1]).mean().sum())


def _extrapolating(fitted: LawFit, data: Dataset, largest: np.ndarray, key: jax.Array) -> LawFit:
    """The fit whose shares and growth of the spread are those with which the rest predicts the `largest` models."""
    seen, mask = fitted.seen, np.isfinite(_scores(data))
    cells = mask & largest[:, None]
    cells[:, seen.target.shape[1] :] = False
    found = [predict_hidden(data, mask, cells, member.law, key) for member in fitted.members]
    inner = replace(fitted, inner=np.array([_by_target(each.log_p, cells) for each in found]))
    counts = draw_counts(inner.shares, len(found[0].score))
    drawn = np.concatenate([each.score[:n] for each, n in zip(found, counts, strict=True)])
    row, target = np.nonzero(cells)
    smaller = replace(seen, target=np.where(largest[:, None], np.nan, seen.target))
    finite = finite_draws(drawn, drawn)
    c = growth(finite, _scores(data)[cells], excess(smaller, seen)[row], target)
    return replace(inner, growth=c)


def _lms(view: View, fitted: View) -> pd.DataFrame:
    """A table of the rows of `view`; a row whose family has no training row in `fitted` is a family of its own."""
    known = set(fitted.family[fitted.train]) - {""}
    family = [str(name) if name in known else f"row {i} alone" for i, name in enumerate(view.family)]
    index = pd.Index([f"row {i}" for i in range(len(family))], name="lm", dtype=str)
    return pd.DataFrame({"family": family, **{name: getattr(view, name) for name in AMOUNTS}}, index)


def dataset_of(view: View, fitted: View, losses: bool) -> Dataset:
    """The data that the view shows, as a dataset: first the targets, then other benchmarks. losses: include losses."""
    lms = _lms(view, fitted)
    score = np.hstack([view.target, view.score])
    names = tuple(f"target {i}" for i in range(view.target.shape[1]))
    names += tuple(f"benchmark {i}" for i in range(view.score.shape[1]))
    items = np.concatenate([view.n_items, view.score_n_items])
    floor, ceiling = np.append(view.floor, view.score_floor), np.append(view.ceiling, view.score_ceiling)
    table = ScoreTable(tuple(lms.index), names, score, items, floor, ceiling)
    found = None
    if losses and view.loss.shape[1]:
        token = [str(u) for u in range(view.loss.shape[1])]
        size = view.size.astype(int)
        units = pd.DataFrame({"token": token, "document": "text", "domain": "text", "start": 0, "bytes": size})
        whole = np.where(np.isfinite(view.loss).all(axis=1, keepdims=True), view.loss, np.nan)
        found = LossTable(tuple(lms.index), whole, units)
    return Dataset(lms, table, found)


def _scores(data: Dataset) -> Float[np.ndarray, "row benchmark"]:
    assert data.scores is not None
    return data.scores.score


def law() -> LawMethod:
    """The law with all data on a row: its losses, its other benchmarks, its compute, its family.

    `widen` was chosen on the training rows of observational scaling laws, where the smaller 65 % of each task predict
    the rest: intervals of 50, 80 and 90 % contain 37, 66, 74 % of the larger models' scores with 1; 46, 72, 78 % with
    1.25; 52, 76, 83 % with 1.5; CRPS 0.0583, 0.0578, 0.0578. Ceilings are 1, as in the published law. Inferred ceilings
    have a CRPS of 0.0549 there and the same squared error, but fail on test rows (`experiments.obs_scaling`).
    """
    priors = Priors(ceiling=float("inf"))
    needs: frozenset[Need] = frozenset({"scores", "compute", "family", "losses"})
    return LawMethod("the law", needs, priors=priors, widen=1.5)


def law_of_scores() -> LawMethod:
    """The law with the other benchmarks of a row, its compute and its family."""
    needs: frozenset[Need] = frozenset({"scores", "compute", "family"})
    return replace(law(), name="the law, of scores", needs=needs)


def law_of_compute() -> LawMethod:
    """The law with size, training tokens and family, as in Sloth. Its priors are the defaults."""
    amounts = ("params", "tokens", "params*tokens")
    needs: frozenset[Need] = frozenset({"compute", "family"})
    return LawMethod("the law, of compute", needs, (1, 2, 3), amounts)


def law_of_losses() -> LawMethod:
    """The law with the losses of a row on a text. Its priors are the defaults."""
    return LawMethod("the law, of losses", frozenset({"losses"}), (0, 1, 2), (), family=False)


def draw_counts(shares: Float[np.ndarray, " member"], count: int) -> Int[np.ndarray, " member"]:
    """How many of `count` draws each member has."""
    return np.diff(np.round(np.cumsum(shares) * count).astype(int), prepend=0)


class Member(NamedTuple):
    """A fit with one number of capabilities: the law, its scales, draws [draw, n], log p(y | K), and the outliers, rows
    that it left out. An outlier is still predicted from all data that the view shows of it, its own scores included.
    """

    law: Law
    known: Known
    x: Float[np.ndarray, "draw n"]
    log_evidence: float
    outlier: Bool[np.ndarray, " row"]


@dataclass(frozen=True, eq=False)
class LawFit:
    """Fits with every number of capabilities. `losses`: whether they use losses. `inner` [member]: log scores of inner
    folds, if these decide the shares. `shares` [member]: of the predictive draws. `growth`: c of
    `csvjax.baselines.extrapolation`.
    """

    method: LawMethod
    seen: View
    losses: bool
    members: list[Member]
    inner: Float[np.ndarray, " member"] | None = None
    growth: float = 0.0

    @property
    def shares(self) -> Float[np.ndarray, " member"]:
        value = np.array([m.log_evidence for m in self.members]) if self.inner is None else self.inner
        weight = np.exp(value - value.max())
        return weight / weight.sum()

    def predict(self, view: View) -> Float[np.ndarray, "row target"]:
        """Mean of the predictive draws of each row; it depends only on the row and the fit."""
        return self._draw(view, jax.random.key(0), self.method.count).mean(axis=0)

    def draws(self, view: View, key: jax.Array, count: int) -> Float[np.ndarray, "draw row target"]:
        """Draws of an observed score, for each row given the data that the view shows of it."""
        return self._draw(view, key, count)

    @float64
    def draws_of(self, member: Member, view: View, key: jax.Array, count: int) -> Float[np.ndarray, "draw row target"]:
        """The draws for a single number of capabilities."""
        view, law, known = view.only(self.method.needs), member.law, member.known
        training = self.seen.take(self.seen.train & ~member.outlier)
        old, new = (dataset_of(v, self.seen, self.losses) for v in (training, view))
        of_old, of_new = (evidence_of(d, np.isfinite(_scores(d)), law, known) for d in (old, new))
        groups = names_of_groups(old.lms, law), names_of_groups(new.lms, law)
        density, targets = law_density(law), view.target.shape[1]
        e, rows = join_families(of_old, groups[0], of_new, groups[1], tidy=True)
        x = member.x[np.arange(count) * len(member.x) // count]
        pieces = draw_pieces(density, law.tail, e, x, key)
        found = np.concatenate([piece.score[:, rows, :targets] for piece in pieces])
        return widened(finite_draws(found, found), excess(self.seen, view)[:, None], self.growth)

    def _draw(self, view: View, key: jax.Array, count: int) -> np.ndarray:
        parts = [
            self.draws_of(member, view, jax.random.fold_in(key, i), int(number))
            for i, (number, member) in enumerate(zip(draw_counts(self.shares, count), self.members, strict=True))
            if number
        ]
        return np.concatenate(parts)
