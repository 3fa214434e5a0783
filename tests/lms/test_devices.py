"""The same losses on one device, on eight, with each model on one or spread over several, and in two processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from csvjax.data.read_losses import read_losses
from csvjax.errors import InputError
from csvjax.lms.checkpoint import open_checkpoint
from csvjax.lms.devices import make_mesh, place_batch, place_weights
from csvjax.losses.extract import LossOptions, extract
from tests.lms.devices_program import DOCUMENTS
from tests.lms.small import write_checkpoint

ROUNDING = 2e-5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("devices") / "lm")


@pytest.fixture(scope="module")
def alone(folder: Path) -> np.ndarray:
    store = folder.parent / "alone.zarr"
    extract([open_checkpoint(str(folder))], DOCUMENTS, store, LossOptions(context=80, stride=30, batch=200, chunk=50))
    return read_losses(store).loss


def program(folder: Path, store: Path, model: int, *more: str, devices: int) -> subprocess.Popen[str]:
    flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "tests.lms.devices_program", str(folder), str(store), str(model), *more]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=os.environ | flags, text=True, **pipes)  # type: ignore[call-overload]  # pipes


def finish(process: subprocess.Popen[str]) -> str:
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    return out.strip().splitlines()[-1]  # Gloo says something first


@pytest.mark.parametrize("model", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(8, marks=pytest.mark.slow)])
def test_eight_devices_give_the_numbers_of_one(folder: Path, tmp_path: Path, alone: np.ndarray, model: int) -> None:
    store = tmp_path / "s.zarr"
    assert finish(program(folder, store, model, devices=8)) == "8 1"
    np.testing.assert_allclose(read_losses(store).loss, alone, atol=ROUNDING)


@pytest.mark.slow
@pytest.mark.parametrize("model", [1, 4])
def test_two_processes_give_the_numbers_of_one(folder: Path, tmp_path: Path, alone: np.ndarray, model: int) -> None:
    """Four devices in each, one mesh over both; with 4 devices for a model, each process has one copy."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    store = tmp_path / "s.zarr"
    both = [program(folder, store, model, address, "2", str(i), devices=4) for i in (0, 1)]
    assert [finish(one) for one in both] == ["8 2", "8 2"]
    np.testing.assert_allclose(read_losses(store).loss, alone, atol=ROUNDING)


def test_weights_and_batches_are_cut_where_they_are_said_to_be() -> None:
    """On one device all is whole; what is cut where is in the specification of each array."""
    mesh = make_mesh()
    assert dict(mesh.shape) == {"data": jax.device_count(), "model": 1}
    place = place_weights(mesh)
    wide = place(("blocks", 0, "query", "kernel"), np.zeros((8, 16), np.float32))
    narrow = place(("blocks", 0, "out", "kernel"), np.zeros((16, 8), np.float32))
    head = place(("output",), np.zeros((7, 8), np.float32))
    across, down = PartitionSpec(None, "model"), PartitionSpec("model", None)
    assert [x.sharding.spec for x in (wide, narrow, head)] == [across, down, across]
    assert place_batch(mesh)(np.zeros((4, 3), np.int32)).sharding.spec == PartitionSpec("data", None)
    with pytest.raises(InputError, match="to divide the number of devices"):
        make_mesh(3 * jax.device_count())
