"""Every family against PyTorch's eager attention, on small random checkpoints that `tests.lms.reference.make` wrote."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from csvjax.lms.checkpoint import read_config
from csvjax.lms.families import FAMILIES, make_architecture
from csvjax.lms.fill import fill
from csvjax.lms.tensors import SafeTensors, find_weights
from csvjax.lms.transformer import Transformer
from csvjax.losses.nll import token_nll
from tests.lms.reference.cases import CASES

CHECKPOINTS = Path(__file__).parent / "checkpoints"
MOST = 1e-4  # nats and logits


def load(folder: Path) -> Transformer:
    return fill(make_architecture(read_config(folder)), SafeTensors(find_weights(folder)))


def expected(name: str) -> dict[str, np.ndarray]:
    with np.load(CHECKPOINTS / name / "expected.npz") as found:
        return dict(found)


@nnx.jit
def logits(model: Transformer, tokens: jax.Array, valid: jax.Array | None = None) -> jax.Array:
    found = model.hidden_states(tokens, valid) @ model.head
    found = found if model.head_bias is None else found + model.head_bias
    return found if model.logit_cap is None else model.logit_cap * jnp.tanh(found / model.logit_cap)


def test_every_family_has_a_case() -> None:
    assert {kind for kind, _ in CASES.values()} == set(FAMILIES)
    assert {folder.name for folder in CHECKPOINTS.iterdir()} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_logits_are_those_of_pytorch_with_padding_on_either_side(name: str) -> None:
    wanted = expected(name)
    valid = wanted["valid"]
    assert wanted["logits"][valid].std() > 2  # near zero any model agrees
    found = logits(load(CHECKPOINTS / name), jnp.asarray(wanted["tokens"]), jnp.asarray(valid))
    assert np.abs(np.asarray(found) - wanted["logits"])[valid].max() <= MOST


@pytest.mark.parametrize("name", CASES)
def test_losses_are_those_of_pytorch(name: str) -> None:
    """Also before padding on the right, which needs no mask, and with other text on the right."""
    wanted = expected(name)
    rows = slice(0, 2)  # the third is padded on the left
    tokens, valid = wanted["tokens"][rows], wanted["valid"][rows]
    scored = valid[:, 1:] & valid[:, :-1]
    tokens = np.where(valid, tokens, 7)
    found = np.asarray(token_nll(load(CHECKPOINTS / name), tokens[:, :-1], tokens[:, 1:]))
    assert np.abs(found - wanted["nll"][rows])[scored].max() <= MOST


@pytest.mark.parametrize("name", ["llama", "llama-llama3-tied", "gpt_neox-sequential-linear", "gemma3"])
def test_the_older_spelling_of_rotary_positions_is_the_same_model(name: str, tmp_path: Path) -> None:
    old = tmp_path / name
    shutil.copytree(CHECKPOINTS / name, old)
    config = json.loads((old / "config.json").read_text())
    parameters = config.pop("rope_parameters")
    if "full_attention" in parameters:
        config["rope_local_base_freq"] = parameters["sliding_attention"]["rope_theta"]
        parameters = parameters["full_attention"]
    theta, part = parameters.pop("rope_theta"), parameters.pop("partial_rotary_factor", None)
    config |= {"rotary_emb_base": theta, "rotary_pct": part} if part else {"rope_theta": theta}
    if parameters["rope_type"] != "default":
        config["rope_scaling"] = parameters
    (old / "config.json").write_text(json.dumps(config))
    assert make_architecture(read_config(old)) == make_architecture(read_config(CHECKPOINTS / name))


def test_bfloat16_weights_change_the_logits_by_their_rounding_only() -> None:
    """The files hold bfloat16, so that products differ by the rounding of activations to 8 bits."""
    wanted, folder = expected("llama"), CHECKPOINTS / "llama"
    model = fill(make_architecture(read_config(folder)), SafeTensors(find_weights(folder)), jnp.bfloat16)
    found = np.asarray(logits(model, jnp.asarray(wanted["tokens"][:1])), np.float32)
    error = np.abs(found - wanted["logits"][:1])
    assert error.max() > 1e-4
    assert error.mean() < 2.0**-8 * np.abs(wanted["logits"]).max()
    assert model.head.dtype == jnp.bfloat16


@pytest.mark.slow
def test_the_checkpoints_are_what_pytorch_writes_today(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "tests.lms.reference.make", "--out", tmp_path], check=True)
    for name in CASES:
        with np.load(tmp_path / name / "expected.npz") as found:
            for key, value in expected(name).items():
                np.testing.assert_allclose(found[key], value, atol=MOST, rtol=0, err_msg=f"{name} {key}")
        ours, theirs = (SafeTensors(find_weights(place / name)) for place in (CHECKPOINTS, tmp_path))
        assert set(ours.names()) == set(theirs.names())
        for tensor in ours.names():
            np.testing.assert_array_equal(ours.read(tensor), theirs.read(tensor))
