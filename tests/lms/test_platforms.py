"""Programs for other platforms, lowered here: which attention is in them, and that float32 is float32."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from csvjax.lms import fused_attention
from csvjax.lms.blocked_attention import blocked
from csvjax.lms.checkpoint import read_config
from csvjax.lms.decoder import Decoder, DecoderConfig
from csvjax.lms.families import make_architecture
from csvjax.lms.transformer import Transformer
from csvjax.losses import nll
from tests.lms.reference.cases import CASES
from tests.lms.test_parity import CHECKPOINTS

LENGTH = 128
CALLS = {"cuda": "__cudnn$fmhaSoftmax", "tpu": "tpu_custom_call"}
DEVICES = {"cuda": ("cuda", 9.0), "tpu": ("tpu", 0.0)}


@pytest.fixture(params=["cuda", "tpu"])
def platform(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A platform as a program sees it that runs there; the version of cuDNN is asked for and not used."""
    jax.clear_caches()
    name: str = request.param
    monkeypatch.setattr(fused_attention, "target", lambda: DEVICES[name])
    monkeypatch.setattr("jax._src.cudnn.fused_attention_stablehlo.check_cudnn_version", lambda: 91000)
    return name


def lowered(model: Any, platform: str, length: int, dtype: Any) -> str:
    graph, params = nnx.split(model)
    params = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, dtype if x.ndim > 1 else jnp.float32), params)
    tokens = jax.ShapeDtypeStruct((1, length), jnp.int32)
    unchecked = [jax.export.DisabledSafetyCheck.custom_call(CALLS["cuda"])]  # it is run where it was lowered, or never
    function = jax.jit(lambda p, x: nll._token_nll(graph, p, x, x, None))
    return jax.export.export(function, platforms=[platform], disabled_checks=unchecked)(params, tokens).mlir_module()


def architecture(name: str) -> Transformer:
    """A family with heads that the kernels take: those of the small checkpoints are 4 to 12 wide."""
    config = read_config(CHECKPOINTS / name)
    for positions in ("n_positions", "max_position_embeddings"):
        if hasattr(config, positions):
            setattr(config, positions, LENGTH)
    if name.startswith("phi3-longrope"):  # its factors belong to other widths
        config.rope_parameters = {"rope_type": "default", "rope_theta": 1e4}
    if config.model_type in ("gpt2", "gpt_bigcode", "opt", "xglm", "gpt_neox", "gptj", "gpt_neo", "falcon"):
        config.hidden_size = getattr(config, "num_attention_heads", 4) * 8
        config.word_embed_proj_dim = config.hidden_size
    elif config.model_type == "qwen2":
        config.hidden_size = config.num_attention_heads * 8
    else:
        config.head_dim = 8
    return nnx.eval_shape(lambda: Transformer(make_architecture(config)))


@pytest.mark.parametrize("name", CASES)
def test_every_family_has_the_fused_kernel_but_gemma2_on_cuda_and_those_with_linear_biases(
    name: str, platform: str
) -> None:
    text = lowered(architecture(name), platform, LENGTH, jnp.bfloat16)
    calls = text.count(CALLS[platform])
    assert bool(calls) == ((name, platform) != ("gemma2", "cuda") and name not in ("bloom", "mpt"))


@pytest.mark.parametrize(
    ("length", "width", "cap", "padded", "dtype", "cuda", "tpu"),
    [
        (128, 64, None, False, jnp.bfloat16, True, True),
        (100, 64, None, False, jnp.bfloat16, True, False),
        (128, 60, None, False, jnp.bfloat16, False, True),
        (128, 256, None, False, jnp.float16, True, False),
        (128, 264, None, False, jnp.bfloat16, False, True),
        (128, 64, 5.0, False, jnp.bfloat16, False, True),
        (128, 64, None, True, jnp.bfloat16, False, False),
        (128, 64, None, False, jnp.float32, False, False),
    ],
)
def test_the_table_of_kernels(
    length: int, width: int, cap: float | None, padded: bool, dtype: Any, cuda: bool, tpu: bool, platform: str
) -> None:
    found = fused_attention.fused_kernel(length, width, cap, padded, dtype)
    assert (found is not None) == {"cuda": cuda, "tpu": tpu}[platform]


def test_older_cards_have_narrower_heads_or_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    for capability, widest in ((9.0, 256), (8.0, 128), (7.5, 0)):
        monkeypatch.setattr(fused_attention, "target", lambda capability=capability: ("cuda", capability))
        for width in (64, 128, 256):
            found = fused_attention.fused_kernel(64, width, None, False, jnp.bfloat16)
            assert (found == "cudnn") == (width <= widest)


def test_float32_is_never_less(platform: str) -> None:
    """TF32 and bfloat16 products are what these platforms take if nothing is said."""
    config = DecoderConfig(vocabulary=64, width=16, layers=1, heads=2)
    for model in (architecture("llama"), nnx.eval_shape(lambda: Decoder(config, nnx.Rngs(0)))):
        products = re.findall(r"stablehlo\.dot_general.*", lowered(model, platform, 300, jnp.float32))
        assert len(products) > 4
        assert all("precision = [HIGHEST, HIGHEST]" in product for product in products)


@pytest.mark.parametrize(("groups", "width", "window", "cap"), [(2, 64, None, None), (4, 128, 100, 3.0)])
def test_splash_gives_what_blocks_give(groups: int, width: int, window: int | None, cap: float | None) -> None:
    """The kernel of TPUs, interpreted; both round weights to 8 bits."""
    rng = np.random.default_rng(0)
    query, key, value = (jnp.asarray(rng.normal(size=(1, 256, n, width)), jnp.bfloat16) for n in (4, groups, groups))
    query = (query * width**-0.5).astype(jnp.bfloat16)
    found = fused_attention.splash(query, key, value, window, cap, interpret=True)
    wanted = blocked(query, key, value, window, cap)
    assert np.abs(found.astype(jnp.float32) - wanted).max() < 4 * 2.0**-8
