"""A key that a family does not read changes nothing, and the lists are those of PyTorch's models."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import transformers

from csvjax.lms.families import FAMILIES, make_architecture
from tests.lms.reference.cases import CASES

CASE = {kind: values for kind, values in reversed(CASES.values())}
# Keys that mean something to some family, with values that would make another model.
STRANGE: dict[str, Any] = {
    "add_cross_attention": True,
    "attention_bias": True,
    "attn_logit_softcapping": 2.0,
    "final_logit_softcapping": 2.0,
    "do_layer_norm_before": False,
    "enable_bias": False,
    "ffn_dim": 8,
    "head_dim": 8,
    "hidden_activation": "relu",
    "layer_norm_elementwise_affine": False,
    "layer_norm_eps": 0.5,
    "layer_norm_epsilon": 0.5,
    "layer_types": ["sliding_attention", "sliding_attention"],
    "mlp_bias": True,
    "mlp_only_layers": [0],
    "moe_intermediate_size": 4,
    "n_inner": 8,
    "norm_topk_prob": True,
    "num_experts_per_tok": 1,
    "original_max_position_embeddings": 8,
    "partial_rotary_factor": 0.5,
    "query_pre_attn_scalar": 3,
    "scale_attn_by_inverse_layer_idx": True,
    "scale_attn_weights": False,
    "shared_expert_intermediate_size": 4,
    "sliding_window": 2,
    "use_bidirectional_attention": True,
    "use_parallel_residual": False,
    "word_embed_proj_dim": 8,
}
# Read by a mixin, by nobody after all, or under a name of its own.
ELSEWHERE = {"original_max_position_embeddings", "partial_rotary_factor"}
UNUSED = {
    ("gemma3_text", "attn_logit_softcapping"),
    ("gemma3_text", "layer_norm_eps"),
    ("stablelm", "head_dim"),  # by the rotation, which then no longer fits the heads
    ("falcon", "head_dim"),  # a property
    ("olmoe", "sliding_window"),  # by the kernels that make masks of their own, and not by eager attention
}


def architecture(kind: str, **more: Any) -> Any:
    return make_architecture(transformers.AutoConfig.for_model(kind, **(CASE[kind] | more)))


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_key_that_a_family_does_not_read_changes_nothing(kind: str) -> None:
    plain = architecture(kind)
    strange = [key for key in STRANGE if key not in FAMILIES[kind].keys]
    assert len(strange) > 5
    for key in strange:
        if isinstance(getattr(transformers.AutoConfig.for_model(kind).__class__, key, None), property):
            continue  # nobody can set it
        assert architecture(kind, **{key: STRANGE[key]}) == plain, key


@pytest.mark.parametrize("kind", FAMILIES)
def test_every_key_that_pytorch_reads_is_on_the_list_and_no_other(kind: str) -> None:
    """As far as the text of its model tells."""
    module = kind.removesuffix("_text")
    source = (Path(transformers.__file__).parent / "models" / module / f"modeling_{module}.py").read_text()
    for key in STRANGE.keys() - ELSEWHERE:
        read = re.search(rf'config\.{key}\b|"{key}"', source) is not None
        if (kind, key) not in UNUSED:
            assert read == (key in FAMILIES[kind].keys), key


def test_unlisted_keys_are_left_alone_by_the_family_that_has_them_all() -> None:
    found = architecture("llama", **{key: STRANGE[key] for key in STRANGE if key not in FAMILIES["llama"].keys})
    assert found == architecture("llama")
