"""The streamed salience against that of the law, in value and gradient, in every layout."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from csvjax.data.losses import LossTable
from csvjax.data.read_losses import write_losses
from csvjax.errors import InputError
from csvjax.law.salience import salient_losses as of_the_law
from csvjax.scale.corpus import in_memory
from csvjax.scale.packed import open_packed, pack, packed_units
from csvjax.scale.stream import salient_losses, value_and_gradient

LMS, UNITS = 7, 3001


def make(seed: int = 0, columns: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    loss = rng.gamma(2.0, 1.5, (LMS, UNITS)).astype(np.float32)
    return loss, rng.integers(1, 9, UNITS), (2 * rng.normal(size=(columns, UNITS))).astype(np.float32)


def function(psi: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jax.value_and_grad(lambda psi: jnp.sum(jnp.sin(psi) * jnp.arange(1.0, 1 + len(psi))[:, None]))(psi)


def of_law(loss: np.ndarray, size: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    with jax.enable_x64(True):
        base = np.log(size / size.sum())

        def value(z: jax.Array) -> jax.Array:
            return function(of_the_law(loss.astype(float) / size, base, z))[0]

        found, pull = jax.value_and_grad(value)(jnp.asarray(z, float))
        return np.asarray(of_the_law(loss.astype(float) / size, base, z.astype(float))), np.asarray(found), pull


@pytest.mark.parametrize("chunk", [None, 1024, 512])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_value_and_gradient_are_those_of_the_law(dtype: type, chunk: int | None) -> None:
    loss, size, z = make()
    loss = loss.astype(dtype).astype(np.float32)
    psi, value, pull = of_law(loss, size, z)
    corpus = in_memory(tuple("abcdefg"), loss, size, dtype, chunk)
    np.testing.assert_allclose(salient_losses(corpus, z).psi, psi, rtol=1e-5)
    found, gradient = value_and_gradient(corpus, z, function)
    np.testing.assert_allclose(found, value, rtol=1e-5)
    np.testing.assert_allclose(gradient, pull, rtol=1e-5, atol=1e-5 * np.abs(pull).max())


def test_a_logit_of_a_thousand_overflows_nothing_and_weights_of_1e_7_count() -> None:
    loss, size, z = make()
    z[:, 5] = 1000.0
    psi, _, _ = of_law(loss, size, z)
    found = salient_losses(in_memory(tuple("abcdefg"), loss, size, chunk=512), z).psi
    np.testing.assert_allclose(found, psi, rtol=1e-5)
    loss = np.tile(loss, (1, 100)).astype(np.float16).astype(np.float32)
    size, z = np.tile(size, 100), np.zeros((1, 100 * UNITS), np.float32)
    z[0, 0] = np.log(1e5)  # all others have less than float16 can hold
    psi, _, _ = of_law(loss, size, z)
    found = salient_losses(in_memory(tuple("abcdefg"), loss, size, np.float16), z).psi
    np.testing.assert_allclose(found, psi, rtol=1e-5)


def store(folder: Path, size: np.ndarray, loss: np.ndarray) -> Path:
    tokens = ["x" * n for n in size]
    units = pd.DataFrame({"token": tokens, "document": "d", "domain": "e", "start": np.cumsum(size) - size})
    write_losses(LossTable(tuple("abcdefg"), loss, units.assign(bytes=size), {"d": "".join(tokens)}), folder)
    return folder


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_packed_store_is_what_it_was(tmp_path: Path, dtype: str) -> None:
    loss, size, z = make()
    place = store(tmp_path / "a.zarr", size, loss)
    assert pack(place, tmp_path / "packed", dtype, 1000) == (LMS, UNITS)
    assert (packed_units(tmp_path / "packed")[0]["bytes"] == size).all()
    corpus = open_packed(tmp_path / "packed")
    memory = in_memory(tuple("abcdefg"), loss, size, np.dtype(dtype), 1000)
    for a, b in zip(value_and_gradient(corpus, z, function), value_and_gradient(memory, z, function), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_what_cannot_be_packed_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a store of losses"):
        pack(tmp_path, tmp_path / "out")
    loss, size, _ = make()
    place = store(tmp_path / "a.zarr", size, loss)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    with pytest.raises(InputError, match="found something else"):
        pack(place, tmp_path / "mine")
    with pytest.raises(InputError, match="csvjax salience pack"):
        open_packed(place)
    pack(place, tmp_path / "packed")
    (tmp_path / "packed" / "loss.bin").write_bytes(b"")
    with pytest.raises(InputError, match="another size"):
        open_packed(tmp_path / "packed")


@pytest.mark.slow
def test_devices_share_the_units() -> None:
    program = """
import jax, numpy as np
from jax.sharding import Mesh
from tests.scale.test_stream import *
mesh = Mesh(np.array(jax.devices()), ("unit",))
assert mesh.size == 4
loss, size, z = make()
for dtype in (np.float32, np.float16):
    one = value_and_gradient(in_memory(tuple("abcdefg"), loss, size, dtype, 2048), z, function)
    four = value_and_gradient(in_memory(tuple("abcdefg"), loss, size, dtype, 2048, mesh), z, function)
    for a, b in zip(one, four):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
"""
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    root = Path(__file__).parents[2]
    environment["PYTHONPATH"] = str(root)
    done = subprocess.run([sys.executable, "-c", program], cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
