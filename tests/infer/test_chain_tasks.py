"""Chains as jobs have the draws of chains in one process."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest

from csvjax.cluster import Lost, Where
from csvjax.errors import InputError
from csvjax.infer import Nuts, chain_tasks, fit
from tests.infer.models import COIN, coin_data

METHOD = Nuts(warmup=60, draws=80, chains=3, block=50, rhat=2, ess=1)


@pytest.mark.parametrize(
    "where", [pytest.param(Where(), id="here"), pytest.param(Where(2), id="processes", marks=pytest.mark.slow)]
)
def test_chains_as_jobs_have_the_draws_of_one_process(where: Where, tmp_path: Path) -> None:
    alone = fit(COIN, coin_data(), METHOD, jax.random.key(2))
    jobs = fit(COIN, coin_data(), METHOD, jax.random.key(2), tmp_path, where=where)
    np.testing.assert_array_equal(jobs.x, alone.x)
    assert jobs.status == alone.status
    for name, value in alone.diagnostics.items():
        np.testing.assert_array_equal(jobs.diagnostics[name], value)
    again = fit(COIN, coin_data(), METHOD, jax.random.key(2), tmp_path)  # the folder resumes without jobs
    np.testing.assert_array_equal(again.x, alone.x)


def test_a_chain_that_is_lost_ends_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_tasks, "run_all", lambda *rest: iter([(1, Lost("its process was killed"))]))
    with pytest.raises(InputError, match=r"expected 3 chains, found that chain 2 was lost: its process was killed"):
        fit(COIN, coin_data(), METHOD, jax.random.key(2), where=Where(2))
