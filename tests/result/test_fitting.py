"""The law fitted to a dataset: hidden scores are not looked at, whatever the method; losses are grouped."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from jax.flatten_util import ravel_pytree

import csvjax
from csvjax.compiled import jit_by_size
from csvjax.data.dataset import Dataset, align
from csvjax.data.losses import LossTable
from csvjax.data.scores import ScoreTable
from csvjax.errors import FitWarning, InputError
from csvjax.fitting import default_law, default_method
from csvjax.infer import Laplace, Map
from csvjax.infer.align import one_order
from csvjax.law.density import law_density
from csvjax.law.evidence import make_evidence, names_of_groups, pad_rows
from csvjax.law.model import Evidence, Law
from csvjax.precision import float64

LMS = 10
EVERY = np.ones((LMS, 3), bool)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    rng = np.random.default_rng(2)
    names = tuple(f"m{i}" for i in range(LMS))
    chance = 1 / (1 + np.exp(-np.linspace(-2, 2, LMS)))[:, None] * np.ones(3)
    columns = {"family": [f"f{i % 2}" for i in range(LMS)], "params": np.nan, "tokens": np.nan}
    lms = pd.DataFrame(columns | {"flops": 10 ** np.linspace(20, 24, LMS)}, pd.Index(names, name="lm", dtype=str))
    return Dataset(lms, ScoreTable(names, ("a", "b", "c"), rng.binomial(100, chance) / 100, floor=np.zeros(3)))


def with_losses(dataset: Dataset) -> Dataset:
    units = pd.DataFrame({"token": "t", "document": "d", "domain": ["x"] * 40 + ["y"] * 40})
    loss = np.random.default_rng(3).uniform(1, 3, (LMS, 80))
    table = LossTable(tuple(dataset.lms.index), loss, units.assign(start=np.arange(80), bytes=1))
    return replace(dataset, losses=table)


def family_of(e: Evidence) -> np.ndarray:
    """The number of each model's family, bucket by bucket."""
    found = np.full(len(e.score) + 1, -1)
    count = 0
    for bucket in e.groups.buckets:
        for members in bucket.lm:
            found[members] = count
            count += 1
    return found[:-1]


def test_evidence_is_what_is_seen_and_nothing_else(dataset: Dataset) -> None:
    seen = np.arange(LMS)[:, None] < np.array([7, 7, 5])
    e, known = make_evidence(dataset, seen, Law())
    scores = dataset.scores
    assert scores is not None
    np.testing.assert_array_equal(e.seen, seen)
    np.testing.assert_array_equal(e.score, np.where(seen, scores.score, 0.0))
    assert known.units is None
    assert e.loss.shape == (LMS, 0)
    assert len(e.lacking) == 0
    with pytest.raises(InputError, match=r"a mask of shape \(10, 3\), found \(10, 2\)"):
        make_evidence(dataset, seen[:, :2], Law())


def test_losses_are_grouped_by_the_models_whose_scores_are_seen(dataset: Dataset) -> None:
    given = with_losses(dataset)
    seen = np.arange(LMS)[:, None] < np.array([7, 7, 5])
    law = Law(covariates=(), per_domain=36, features=2)
    e, known = make_evidence(given, seen, law)
    assert known.units is not None
    assert e.loss.shape == (LMS, 72)
    assert e.features.shape == (72, 2)  # more than 64 units of text: z is spanned by two components
    assert e.covariate.shape == (LMS, 0)
    assert make_evidence(given, seen, replace(law, per_domain=3))[0].features.shape == (6, 6)
    assert given.losses is not None
    loss = given.losses.loss.copy()
    loss[7:] = 9.0
    other, again = make_evidence(replace(given, losses=replace(given.losses, loss=loss)), seen, law)
    assert again.units is not None
    np.testing.assert_array_equal(again.units.label, known.units.label)
    np.testing.assert_array_equal(other.features, e.features)
    assert other.scale == e.scale


def test_a_model_without_losses_lacks_them_and_is_no_reference(dataset: Dataset) -> None:
    given = with_losses(dataset)
    assert given.losses is not None
    loss = given.losses.loss.copy()
    loss[[2, 8]] = np.nan
    e, _ = make_evidence(replace(given, losses=replace(given.losses, loss=loss)), EVERY, Law(per_domain=3))
    np.testing.assert_array_equal(np.flatnonzero(~e.has_loss), [2, 8])
    assert not e.loss[[2, 8]].any()
    assert len(e.lacking) == 1
    assert e.reference_loss.shape == (LMS - 2, 6)
    np.testing.assert_array_equal(e.reference_design, e.design[e.has_loss])
    with pytest.raises(InputError, match="losses of models that have scores, found none"):
        make_evidence(replace(given, losses=replace(given.losses, loss=loss)), EVERY & ~e.has_loss[:, None], Law())


def test_families_and_runs_are_those_of_the_table(dataset: Dataset) -> None:
    e, _ = make_evidence(dataset, EVERY, Law())
    same = family_of(e)[:, None] == family_of(e)
    names = dataset.lms["family"].to_numpy(str)
    np.testing.assert_array_equal(same, names[:, None] == names)
    # Without effects of families every model is alone; with those of runs alone, every run.
    assert len(set(family_of(make_evidence(dataset, EVERY, Law(effects=()))[0]))) == LMS
    runs = replace(dataset, lms=dataset.lms.assign(run=["r"] * 4 + [None] * (LMS - 4)))
    alone = family_of(make_evidence(runs, EVERY, Law(effects=("run",)))[0])
    assert len(set(alone[:4])) == 1
    assert len(set(alone)) == LMS - 3


def test_filling_up_changes_nothing_but_shapes(dataset: Dataset) -> None:
    e, _ = make_evidence(dataset, EVERY, Law())
    more = pad_rows(e, *names_of_groups(dataset.lms, Law()), rows=8)
    assert more.score.shape == (16, 3)
    assert not more.seen[LMS:].any()
    density = law_density(Law())
    potential = jit_by_size(density.potential)
    with jax.enable_x64(True):
        size = len(jax.eval_shape(density.start, jax.random.key(0), e))
        x = 0.3 * np.random.default_rng(0).standard_normal(size)
        np.testing.assert_allclose(potential(x, e), potential(x, more), rtol=1e-9)


@float64
def test_signs_and_order_of_contrasts_are_symmetries_that_are_undone(dataset: Dataset) -> None:
    law = Law(capabilities=3, per_domain=3)
    evidence = jax.tree.map(jnp.asarray, make_evidence(with_losses(dataset), EVERY, law)[0])
    density = law_density(law)
    shapes = jax.eval_shape(density.sites, jax.random.key(0), evidence)
    rng = np.random.default_rng(5)
    one = {name: rng.normal(0, 0.5, shape.shape) for name, shape in shapes.items()}
    one["contrast"] = np.array([[2.0, 0.3], [-0.5, 1.0], [0.1, -1.5]])
    other = dict(one)
    # The second and the third capability change places, and one of them its sign.
    swap = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    other["contrast"] = one["contrast"] @ swap[1:, 1:]
    other["contrast_scale"] = one["contrast_scale"] @ np.abs(swap[1:, 1:])
    other["gain"], other["loss_slope"] = one["gain"] @ swap, one["loss_slope"] @ swap
    for name in ("family_spread", "run_spread", "tau"):
        other[name] = one[name] @ np.abs(swap)
    other["weight"] = np.abs(swap).T @ one["weight"]
    x = np.stack([np.asarray(ravel_pytree(sites)[0]) for sites in (one, other)])
    potential = jit_by_size(density.potential)
    np.testing.assert_allclose(potential(x[0], evidence), potential(x[1], evidence), rtol=1e-9)
    assert np.abs(x[0] - x[1]).max() > 1
    draws = np.repeat(x[:, None], 50, axis=1) + 0.01 * rng.standard_normal((2, 50, x.shape[1]))
    turned = one_order(density, evidence, draws)
    np.testing.assert_allclose(turned[0].mean(axis=0), turned[1].mean(axis=0), atol=0.01)
    for chain in range(2):
        np.testing.assert_allclose(
            potential(turned[chain, 7], evidence), potential(draws[chain, 7], evidence), rtol=1e-9
        )


def test_what_is_not_there_is_told(dataset: Dataset) -> None:
    with pytest.raises(InputError, match="different values of tokens, found 0"):
        csvjax.fit(dataset, Law(covariates=("tokens",)))
    with pytest.raises(InputError, match="a dataset with scores"):
        csvjax.fit(replace(dataset, scores=None), Law())


def test_the_default_law_has_what_the_table_tells_of(dataset: Dataset) -> None:
    assert default_law(dataset) == Law(2, ("flops",), ("family",))
    alone = dataset.lms.assign(family=list(dataset.lms.index), flops=np.nan)
    assert default_law(replace(dataset, lms=alone)) == Law(2, (), ())
    sizes = alone.assign(params=np.geomspace(1e9, 1e11, LMS), run=["r"] * 2 + [None] * (LMS - 2))
    scores = dataset.scores
    assert scores is not None
    one = replace(dataset, lms=sizes, scores=scores.select(benchmarks=["b"]))
    assert default_law(one) == Law(1, ("params",), ("run",))


@pytest.mark.slow
def test_hidden_scores_have_no_influence_and_draws_surround_the_mode(dataset: Dataset) -> None:
    seen = np.arange(LMS)[:, None] < np.array([7, 7, 10])
    law = Law(capabilities=1, effects=("family",))
    scores = dataset.scores
    assert scores is not None
    other = replace(dataset, scores=replace(scores, score=np.where(seen, scores.score, 0.99)))
    mode = csvjax.fit(dataset, law, method=Map(starts=1), seen=seen)
    assert mode.status.ok
    assert mode.x.shape[:2] == (1, 1)
    np.testing.assert_array_equal(csvjax.fit(other, law, method=Map(starts=1), seen=seen).x, mode.x)
    assert mode.draws(30).shape == (30, mode.x.shape[2])
    cloud = csvjax.fit(dataset, law, method=Laplace(draws=2000, map=Map(starts=1)), seen=seen, seed=1)
    assert cloud.method == "laplace"
    error = cloud.x[0].std(axis=0) / np.sqrt(2000)
    assert (np.abs(cloud.x[0].mean(axis=0) - mode.x[0, 0]) < 5 * error + 1e-3).all()


def test_scores_that_are_all_alike_are_told_and_predicted(dataset: Dataset) -> None:
    assert dataset.scores is not None
    same = dataset.scores.score.copy()
    same[:, 1] = 0.5
    data = replace(dataset, scores=replace(dataset.scores, score=same))
    seen = EVERY.copy()
    seen[-1, 1] = False
    with pytest.warns(csvjax.errors.FitWarning, match="all scores of 'b' are equal"):
        found = csvjax.fit(data, Law(1), method=Laplace(draws=200), seen=seen)
    row = csvjax.predict(found).table().iloc[0]
    assert row["lower90"] <= 0.5 <= row["upper90"]
    assert row["upper90"] - row["lower90"] < 0.25


@pytest.mark.parametrize(
    ("models", "benchmarks", "expected", "why"),
    [
        (10, 20, "Nuts", "few enough for NUTS"),
        (60, 20, "Laplace", "NUTS is slow for more than 300 scores"),
        (10, 60, "Svi", "60 benchmarks have too many parameters"),
    ],
)
def test_the_default_method_follows_the_size_of_the_table(
    models: int, benchmarks: int, expected: str, why: str
) -> None:
    score = np.linspace(0.1, 0.9, models * benchmarks).reshape(models, benchmarks)
    names = tuple(f"m{i}" for i in range(models))
    data = align(scores=ScoreTable(names, tuple(f"b{i}" for i in range(benchmarks)), score))
    method, reason = default_method(data, np.isfinite(score))
    assert type(method).__name__ == expected
    assert why in reason


@pytest.mark.slow
def test_chains_that_do_not_agree_are_drawn_longer(dataset: Dataset, tmp_path: Path) -> None:
    law = Law(1, covariates=(), effects=("family",))
    few = csvjax.Nuts(warmup=100, draws=10, chains=2)
    with pytest.warns(FitWarning, match="draw longer"):
        short = csvjax.fit(dataset, law, method=few)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        found = csvjax.fit(dataset, law, method=replace(few, longer=15), chains=tmp_path)
        again = csvjax.fit(dataset, law, method=replace(few, longer=15), chains=tmp_path)
    assert found.x.shape[:2] == (2, 160)
    np.testing.assert_array_equal(found.x[:, :10], short.x)
    np.testing.assert_array_equal(again.x, found.x)
