"""Columns of the models' table as covariates: which rule reads a column, and what is not known of a model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from csvjax.errors import InputError
from csvjax.law.covariates import describe, encode, find_columns

N = 6


def lms(**columns: object) -> pd.DataFrame:
    unknown = {"params": np.nan, "tokens": np.nan, "flops": np.nan}
    return pd.DataFrame({"family": list("abcdef"), **unknown, **columns}, index=[f"m{i}" for i in range(N)])


def standardised(value: np.ndarray) -> np.ndarray:
    known = value[np.isfinite(value)]
    return np.where(np.isfinite(value), (value - known.mean()) / known.std(), 0.0)


NARROW, WIDE = np.linspace(1, 29, N), np.geomspace(1, 30, N)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("width", NARROW, NARROW),
        ("width", WIDE, np.log(WIDE)),  # the largest is 30 times the least
        ("width", -WIDE, -WIDE),  # no logarithm of what is below 0
        ("raw:width", WIDE, WIDE),
        ("log:width", NARROW, np.log(NARROW)),
        ("flops", 1e21 * NARROW, np.log(NARROW)),  # amounts always are
        ("released", np.array([f"20{20 + i}-0{i + 1}-15" for i in range(N)]), np.arange(N) + np.arange(N) / 12),
    ],
)
def test_every_kind_of_column_is_standardised_by_its_rule(name: str, value: np.ndarray, expected: np.ndarray) -> None:
    table = lms(**{name.partition(":")[2] or name: value})
    columns = find_columns(table, [name])
    x, unknown = encode(table, columns)
    # Months are a twelfth of a year to three days.
    np.testing.assert_allclose(x[:, 0], standardised(expected), atol=0.01 if name == "released" else 1e-12)
    assert x.mean() == pytest.approx(0, abs=1e-12)
    assert x.std() == pytest.approx(1)
    assert unknown.shape == (N, 1, 0)
    assert columns.names == (name,)


def test_how_a_column_was_read_is_told() -> None:
    table = lms(width=NARROW, wide=WIDE, released=[f"202{i}-01-01" for i in range(N)], kind=list("xyxyxy"))
    columns = find_columns(table, ["width", "wide", "released", "kind"])
    assert describe(columns) == ["width: number", "wide: logarithm", "released: years", "kind: category"]


def test_the_scales_are_those_of_the_models_of_the_fit() -> None:
    table = lms(flops=1e21 * WIDE)
    columns = find_columns(table, ["flops"])
    later = table.assign(flops=1e25)
    expected = (np.log(1e25 / 1e21) - np.log(WIDE).mean()) / np.log(WIDE).std()
    np.testing.assert_allclose(encode(later, columns)[0], np.full((N, 1), expected))


def test_a_number_that_is_not_known_is_at_its_mean_and_is_one_factor_of_unit_variance() -> None:
    value = np.where(np.arange(N) == 2, np.nan, WIDE)
    table = lms(params=1e9 * value)
    x, unknown = encode(table, find_columns(table, ["params"]))
    np.testing.assert_allclose(x[:, 0], standardised(np.log(value)), atol=1e-12)
    np.testing.assert_allclose(unknown[:, 0, :], (np.arange(N) == 2)[:, None] * 1.0)


def test_products_with_one_unknown_amount_depend_on_one_factor() -> None:
    n, d = 1e9 * WIDE, 1e12 * WIDE[::-1] ** 2 * (1 + np.arange(N))
    table = lms(params=n, tokens=np.where(np.arange(N) == 1, np.nan, d))
    columns = find_columns(table, ["params", "tokens", "params*tokens"])
    x, unknown = encode(table, columns)
    assert unknown.shape == (N, 3, 1)
    assert not np.delete(unknown, 1, axis=0).any()
    # With z standard deviations more of log tokens the covariates are what the formulas say.
    log_d = np.log(d / 1e12)[np.arange(N) != 1]
    for z in (-1.0, 0.0, 2.0):
        given = table.assign(tokens=np.where(np.arange(N) == 1, 1e12 * np.exp(log_d.mean() + z * log_d.std()), d))
        moved, none = encode(given, columns)
        assert not none.size
        np.testing.assert_allclose(x + z * unknown[:, :, 0], moved, atol=1e-9)


def test_two_unknown_amounts_are_two_factors() -> None:
    gone = np.arange(N) == 3
    table = lms(params=np.where(gone, np.nan, 1e9 * WIDE), tokens=np.where(gone, np.nan, 1e12 * WIDE[::-1]))
    _, unknown = encode(table, find_columns(table, ["params", "tokens"]))
    np.testing.assert_allclose(unknown[3], np.eye(2))
    assert not unknown[~gone].any()


def test_the_third_amount_is_that_of_six_flop_for_each_parameter_and_token() -> None:
    n, d = 1e9 * WIDE, 1e12 * WIDE[::-1] ** 2
    whole = lms(params=n, tokens=d, flops=6 * n * d)
    wanted = ["params", "tokens", "flops"]
    columns = find_columns(whole, wanted)
    for missing in wanted:
        row = np.arange(N) == 4
        x, unknown = encode(whole.assign(**{missing: np.where(row, np.nan, whole[missing])}), columns)
        np.testing.assert_allclose(x, encode(whole, columns)[0], rtol=1e-9)
        assert unknown.shape[2] == 0
    # One known amount says nothing of the others, and what was given is kept though it is not 6 N D.
    alone = whole.assign(params=np.nan, tokens=np.nan)
    assert encode(alone, columns)[1].shape[2] == 2
    other = whole.assign(flops=1e21)
    np.testing.assert_allclose(
        encode(other, columns)[0][:, 2], np.full(N, -columns.covariates[2].centre / columns.covariates[2].scale)
    )


def test_a_category_has_a_column_for_each_level_and_a_factor_for_each_where_it_is_not_known() -> None:
    table = lms(kind=["base", "chat", "base", None, "chat", "base"])
    columns = find_columns(table, ["kind"])
    assert columns.names == ("kind=base", "kind=chat")
    x, unknown = encode(table, columns)
    known = np.array([1.0, 0, 1, np.nan, 0, 1])
    np.testing.assert_allclose(x[:, 0], standardised(known), atol=1e-12)
    np.testing.assert_allclose(x[:, 1], standardised(1 - known), atol=1e-12)
    np.testing.assert_array_equal(unknown[3], np.eye(2))
    assert not np.delete(unknown, 3, axis=0).any()
    # A level that the fit did not have is one that is not known.
    assert not encode(table.assign(kind="code"), columns)[0].any()


def test_dates_are_read_from_pandas_too_and_may_be_missing() -> None:
    text = [f"202{i}-03-01" for i in range(N)]
    columns = find_columns(lms(released=text), ["released"])
    stamps = lms(released=pd.to_datetime(pd.Series(text, index=[f"m{i}" for i in range(N)])))
    np.testing.assert_allclose(encode(stamps, columns)[0], encode(lms(released=text), columns)[0])
    x, unknown = encode(lms(released=[None, *text[1:]]), columns)
    assert x[0, 0] == 0
    np.testing.assert_allclose(unknown[0], [[1.0]])


def test_a_column_that_nobody_filled_in_is_not_known_of_new_models() -> None:
    columns = find_columns(lms(width=WIDE, kind=list("xyxyxy")), ["width", "kind"])
    x, unknown = encode(lms(width=np.nan, kind=np.nan), columns)
    assert not x.any()
    assert unknown.shape[2] == 3


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ("widht", "found 'widht': the nearest is 'width'"),
        ("log:minus", "numbers above 0 in 'minus'.*found -5"),
        ("log:absent", "found 'absent'"),
        ("same", "two or more different values of same, found 1 in 6 models; leave this covariate out"),
        ("tokens", "different values of tokens, found 0"),
        ("one", "2 to 30 levels of 'one', found 1"),
        ("width*kind", r"a product of numbers, found 'width\*kind'"),
        ("width*absent", "found 'absent'"),
    ],
)
def test_what_is_no_covariate_is_told(wanted: str, says: str) -> None:
    table = lms(width=WIDE, minus=np.arange(N) - 5, same=1.0, one="x", kind=list("xyxyxy"))
    with pytest.raises(InputError, match=says):
        find_columns(table, [wanted])
