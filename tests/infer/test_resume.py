"""Chains that were stopped go on as if nothing had happened."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from csvjax.errors import InputError
from csvjax.infer import Nuts, fit
from tests.infer.models import COIN, coin_data

METHOD = Nuts(warmup=200, draws=1000, chains=2, block=100)

PROGRAM = """
import sys, time
from pathlib import Path
import jax
import csvjax.infer.nuts as nuts
from csvjax.infer import fit
from tests.infer.models import COIN, coin_data
from tests.infer.test_resume import METHOD
save = nuts.save_chains
def slow(*args):
    save(*args)
    time.sleep(0.5)
nuts.save_chains = slow
fit(COIN, coin_data(), METHOD, jax.random.key(2), Path(sys.argv[1]))
"""


@pytest.mark.slow
def test_a_killed_fit_goes_on_to_the_same_draws(tmp_path: Path) -> None:
    whole = fit(COIN, coin_data(), METHOD, jax.random.key(2))
    folder = tmp_path / "chains"
    program = subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder)])
    kept = folder / "chains.npz"
    while not kept.exists() and program.poll() is None:
        time.sleep(0.05)
    time.sleep(0.7)  # into the second block or a later one
    program.send_signal(signal.SIGKILL)
    assert program.wait() == -signal.SIGKILL
    with np.load(kept, allow_pickle=False) as arrays:
        assert 100 <= arrays["draws_z"].shape[1] < 1200
    resumed = fit(COIN, coin_data(), METHOD, jax.random.key(2), folder)
    np.testing.assert_array_equal(resumed.x, whole.x)
    assert resumed.status == whole.status
    again = fit(COIN, coin_data(), METHOD, jax.random.key(2), folder)
    np.testing.assert_array_equal(again.x, whole.x)
    with pytest.raises(InputError, match="found those of other data, settings or key"):
        fit(COIN, coin_data(), METHOD, jax.random.key(3), folder)


DEVICES = """
import sys
import jax
import numpy as np
from csvjax.infer import fit
from tests.infer.models import COIN, coin_data
from tests.infer.test_resume import METHOD
assert jax.local_device_count() == 2
np.save(sys.argv[1], fit(COIN, coin_data(), METHOD, jax.random.key(2)).x)
"""


@pytest.mark.slow
def test_chains_on_devices_of_their_own_have_the_same_draws(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    two = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", DEVICES, str(path)], check=True, env=os.environ | two)
    one = fit(COIN, coin_data(), METHOD, jax.random.key(2)).x
    # Rounding may differ between the two programs, and chains forget rounding slowly: the first draws agree.
    np.testing.assert_allclose(np.load(path)[:, :5], one[:, :5], rtol=1e-3, atol=1e-3)
