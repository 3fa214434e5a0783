"""Shared by all tests: shapes and types checked at run time, the same hypothesis examples every time, public tables."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from jaxtyping import install_import_hook

# Before anything imports csvjax. Where a float is asked for an int will do, as in PEP 484.
install_import_hook("csvjax", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", "")  # tests compile what they test

hypothesis.settings.register_profile("csvjax", deadline=None, derandomize=True)
hypothesis.settings.load_profile("csvjax")


@pytest.fixture(scope="session")
def public_data() -> Path:
    """The folder of public benchmark tables that CSVJAX_DATA names; without it a test is skipped, or fails under CI."""
    named = os.environ.get("CSVJAX_DATA")
    if named is None:
        reason = "CSVJAX_DATA is not set: it should name the folder of public benchmark tables"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    folder = Path(named)
    if not folder.is_dir():
        pytest.fail(
            f"CSVJAX_DATA is {named!r}, which is no folder: it should name the folder of public benchmark tables"
        )
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Where jobs run on a Ray that the tests of a module share, because its start takes seconds."""
    from csvjax.cluster import Where

    ray = pytest.importorskip("ray", reason="Ray is not installed, or does not exist for this Python")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONWARNINGS", "ignore")
        with warnings.catch_warnings():  # Ray forks to start its programs, and JAX warns of every fork
            warnings.simplefilter("ignore", RuntimeWarning)
            ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        yield Where(cluster="auto")
        ray.shutdown()
