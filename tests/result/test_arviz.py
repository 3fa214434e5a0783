"""What other software makes of the labelled draws: ArviZ, in environments of its own that have no csvjax."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logsumexp

from csvjax.result.result import Result

# The last ArviZ with an InferenceData of its own, and ArviZ 1, for which a DataTree is one; it needs Python 3.12, the
# modules that it is made of do not.
MODULES = ("arviz-base>=0.8", "arviz-stats[xarray]>=0.8", "zarr>=3.1")
ONE = ("arviz>=1", "zarr>=3.1") if sys.version_info >= (3, 12) else MODULES
REQUIREMENTS = (("arviz==0.23.4", "zarr>=3.1"), ONE)

PROGRAM = """
import json, sys
import xarray as xr

tree = xr.open_datatree(sys.argv[1], engine="zarr").load()
try:
    import arviz
    # ArviZ 1 takes the tree as it is.
    make = getattr(arviz.InferenceData, "from_datatree", lambda tree: tree)
    data, loo, summary = make(tree), arviz.loo, arviz.summary
except ImportError:
    from arviz_stats import loo, summary
    data = tree
found = loo(data)
rows = summary(data, var_names=["loading"])
elpd = float(getattr(found, "elpd_loo", None) or found.elpd)
print(json.dumps([elpd, int(found.n_data_points), list(rows.index), [float(r) for r in rows["mean"]]]))
"""


@pytest.mark.slow
def test_arviz_reads_the_draws_and_leaves_cells_out(
    fit: Result, seen: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("arviz")
    draws = fit.labelled
    fit.save(folder / "run")
    log_p = draws.log_likelihood[0][:, seen].astype(float)
    seen_before = float((logsumexp(log_p, axis=0) - np.log(len(log_p))).sum())
    said = []
    for number, requirements in enumerate(REQUIREMENTS):
        place: Path = folder / f"venv{number}"
        venv.create(place, with_pip=True)
        python = place / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True, stdout=sys.stderr)
        # Apart from the caller's PYTHONPATH, which may lead to csvjax.
        words = [python, "-I", "-c", PROGRAM, folder / "run" / "posterior.zarr"]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        said.append(json.loads(done.stdout.splitlines()[-1]))
    for elpd, count, rows, means in said:
        assert count == seen.sum()
        assert elpd < seen_before  # to leave a score out costs something
        np.testing.assert_allclose(elpd, said[0][0], atol=0.1)
        assert rows == [f"loading[{name}, general]" for name in fit.benchmarks]
        np.testing.assert_allclose(means, draws.aligned.loading[0, :, :, 0].mean(axis=0), atol=6e-3)  # as printed
