"""The verdict follows the status, the chains and the held-out scores; tables say what the draws say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from csvjax.infer.result import Status
from csvjax.joint.tables import capability_table, loading_table, verdict

GOOD = Status(True, "converged after 9 steps")
EMPTY = pd.DataFrame()


def held(inside: int, outside: int) -> pd.DataFrame:
    observed = [0.5] * inside + [0.9] * outside + [np.nan]
    return pd.DataFrame({"observed": observed, "lower90": 0.4, "upper90": 0.6})


@pytest.mark.parametrize(
    ("inside", "outside", "says"),
    [
        (18, 2, "(90%) lie in their 90 % intervals, as they should"),
        (10, 10, "too narrow"),
        (200, 0, "wider than they need"),
    ],
)
def test_intervals_are_judged_by_held_out_scores(inside: int, outside: int, says: str) -> None:
    found = verdict(GOOD, EMPTY, held(inside, outside))
    assert found.startswith(f"converged after 9 steps. {inside} of {inside + outside} held-out scores")
    assert says in found


def test_a_fit_that_did_not_end_well_is_not_to_be_trusted() -> None:
    assert verdict(Status(False, "not converged: x"), EMPTY, EMPTY).startswith(
        "do not trust this fit: not converged: x. "
    )
    chains = pd.DataFrame({"quantity": ["parameters", "logit", "loading, aligned"], "rhat": [1.5, 1.002, 1.004]})
    # Parameters of contrasts have signs of their own in each chain; what is shown is aligned.
    assert verdict(GOOD, chains, EMPTY).startswith("converged")
    assert "largest r-hat 1.020" in verdict(GOOD, chains.assign(rhat=[1.5, 1.02, 1.0]), EMPTY)
    assert "nothing says whether" in verdict(GOOD, EMPTY, held(0, 0))


def test_tables_have_means_and_intervals_by_name() -> None:
    rng = np.random.default_rng(0)
    theta = rng.normal(np.array([[0.0, 1.0], [2.0, -1.0]]), 0.1, (2, 500, 2, 2))
    each = {"chain": [0, 1], "draw": np.arange(500)}
    of_benchmark = {
        name: (("chain", "draw", "benchmark"), np.full((2, 500, 1), value))
        for name, value in (("intercept", -1.0), ("spread", 0.3), ("floor", 0.25), ("ceiling", 1.0), ("n_items", 100.0))
    }
    posterior = xr.Dataset(
        {
            "theta": (("chain", "draw", "lm", "capability"), theta),
            "loading": (("chain", "draw", "benchmark", "capability"), theta[:, :, :1]),
            **of_benchmark,
        },
        {
            **each,
            "lm": ["x", "y"],
            "lm_family": ("lm", ["f", "g"]),
            "benchmark": ["b"],
            "capability": ["general", "contrast 1"],
        },
    )
    tree = xr.DataTree.from_dict({"posterior": posterior})
    able = capability_table(tree)
    assert list(able["lm"]) == ["y", "x"]
    assert list(able["family"]) == ["g", "f"]
    np.testing.assert_allclose(able["general"], [2, 0], atol=0.02)
    np.testing.assert_allclose(able["contrast 1 upper90"] - able["contrast 1 lower90"], 2 * 1.645 * 0.1, rtol=0.1)
    loading = loading_table(tree).iloc[0]
    assert (loading["benchmark"], loading["floor"], loading["n_items"]) == ("b", 0.25, 100)
    np.testing.assert_allclose([loading["general"], loading["contrast 1"]], [0, 1], atol=0.02)
