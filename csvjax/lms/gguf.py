"""Reads checkpoints in GGUF files: dequantised weights, under their Hugging Face names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import DTypeLike
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from csvjax.errors import InputError
from csvjax.lms.architecture import Architecture
from csvjax.lms.checkpoint import Checkpoint, quietly
from csvjax.lms.families import make_architecture
from csvjax.lms.fill import Place, check, fill, placeless
from csvjax.lms.tensors import fingerprint
from csvjax.lms.transformer import Transformer

__all__ = ["open_gguf"]

_FAMILIES = ("llama", "qwen2", "qwen3")
_TOP = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
_BLOCK = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
_FREQUENCIES = "rope_freqs.weight"
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def open_gguf(path: Path, name: str) -> Checkpoint:
    """Open the model in a GGUF file.

    Raises: InputError for a file that cannot be read, and for a family or a tokenizer that csvjax cannot read from
    GGUF.
    """
    try:
        reader = _bounded()(path)
        fields = {key: field.contents() for key, field in reader.fields.items()}
    except Exception as error:  # gguf, NumPy and memory maps raise different errors
        raise InputError(
            f"expected a whole GGUF file at {path}, found one that cannot be read ({error}); download it again"
        ) from None
    family = fields.get("general.architecture")
    if family not in _FAMILIES:
        raise InputError(
            f"expected a GGUF model of one of the families {', '.join(_FAMILIES)}, found {family!r} in {path}; "
            "give the folder with its config.json and safetensors"
        )
    try:
        tensors = _GgufTensors(reader.tensors, path, family, fields)
        architecture = _architecture(family, fields, tensors)
        check(architecture, tensors)
        tokenizer = _tokenizer(fields, path)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise InputError(
            f"expected the fields and tensors of a model of the family {family} in {path}, found others "
            f"({type(error).__name__}: {error}); download it again"
        ) from None
    first = fields.get("tokenizer.ggml.bos_token_id", fields.get("tokenizer.ggml.eos_token_id"))

    def load(dtype: DTypeLike = jnp.float32, place: Place = placeless) -> Transformer:
        return fill(architecture, tensors, dtype, place)

    return Checkpoint(name, architecture, tokenizer, first, fingerprint([path]), load)


def _bounded() -> Any:
    """The reader of gguf, which stops at the end of the file. The original one goes on for as many fields as the file
    claims to have."""
    from gguf import GGUFReader

    class Bounded(GGUFReader):
        def _get(self, offset: Any, dtype: Any, count: Any = 1, override_order: Any = None) -> Any:
            found = super()._get(offset, dtype, count, override_order)
            if len(found) < count:
                raise ValueError("it ends too early")
            return found

    return Bounded


class _GgufTensors:
    """The tensors of a GGUF file, under their names in `transformers`."""

    def __init__(self, found: Iterable[Any], path: Path, family: str, fields: Mapping[str, Any]):
        self.place = str(path)
        self.raw = {tensor.name: tensor for tensor in found}
        # Queries and keys of Llama are stored for rotation of neighbouring dimensions, not of halves.
        counts = [fields.get(f"{family}.attention.head_count"), fields.get(f"{family}.attention.head_count_kv")]
        self._heads = dict(zip(("attn_q", "attn_k"), counts, strict=True)) if family == "llama" else {}
        theirs = {theirs: ours for ours, theirs in {**_TOP, **_BLOCK}.items()}
        self._name: dict[str, str] = {}
        for name in self.raw:
            head, _, kind = name.rpartition(".")
            if head.startswith("blk."):
                _, layer, module = head.split(".", 2)
                self._name[f"model.layers.{layer}.{theirs.get(module, module)}.{kind}"] = name
            elif name != _FREQUENCIES:
                self._name[f"{theirs.get(head, head)}.{kind}"] = name

    def names(self) -> Iterable[str]:
        return self._name

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(int(n) for n in reversed(self.raw[self._name[name]].shape))

    def kind(self, name: str) -> str:
        return "F32"  # after dequantisation

    def read(self, name: str) -> np.ndarray:
        from gguf import dequantize

        tensor = self.raw[self._name[name]]
        array = dequantize(tensor.data, tensor.tensor_type).reshape(self.shape(name))
        heads = self._heads.get(self._name[name].split(".")[-2])
        if heads is None:
            return array
        return array.reshape(heads, -1, 2, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)


def _architecture(family: str, fields: Mapping[str, Any], tensors: _GgufTensors) -> Architecture:
    def value(name: str, default: Any = None) -> Any:
        return fields.get(f"{family}.{name}", default)

    heads = value("attention.head_count")
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": value("rope.freq_base", 10_000.0)}
    kind = value("rope.scaling.type", "none")
    if kind != "none":
        rope |= {"rope_type": kind, "factor": value("rope.scaling.factor")}
        if original := value("rope.scaling.original_context_length"):
            rope["original_max_position_embeddings"] = original
    head_width = value("attention.key_length", value("embedding_length") // heads)
    if (turned := value("rope.dimension_count", head_width)) != head_width:
        raise InputError(
            f"expected rotary positions on all {head_width} dimensions of a head, found {turned} in {tensors.place}; "
            "give the folder with its config.json and safetensors"
        )
    window = _window(family, fields, tensors.place)
    values: dict[str, Any] = dict(
        vocab_size=tensors.shape("model.embed_tokens.weight")[0],
        hidden_size=value("embedding_length"),
        intermediate_size=value("feed_forward_length"),
        num_hidden_layers=value("block_count"),
        num_attention_heads=heads,
        num_key_value_heads=value("attention.head_count_kv", heads),
        head_dim=head_width,
        max_position_embeddings=value("context_length"),
        rms_norm_eps=value("attention.layer_norm_rms_epsilon"),
        rope_parameters=rope,
        tie_word_embeddings="lm_head.weight" not in set(tensors.names()),
    )
    if window is not None:
        values["sliding_window"] = window
    model = "llama" if family == "llama" and window is None else "mistral" if family == "llama" else family
    config = quietly(lambda auto: auto.AutoConfig.for_model(model, **values), Path(tensors.place))
    architecture = make_architecture(config)
    if _FREQUENCIES not in tensors.raw:
        return architecture
    slower = np.asarray(tensors.raw[_FREQUENCIES].data, np.float32)  # the computed scaling of Llama 3
    layers = []
    for layer in architecture.layers:
        assert layer.rope is not None
        frequency = tuple((np.asarray(layer.rope.frequency, np.float32) / slower).tolist())
        layers.append(replace(layer, rope=replace(layer.rope, frequency=frequency)))
    return replace(architecture, layers=tuple(layers))


def _window(family: str, fields: Mapping[str, Any], place: str) -> int | None:
    """The attention window. A Mistral is stored as a Llama, and mostly without its window.

    Raises: InputError if the window, or which layers have it, is unknown.
    """
    window = fields.get(f"{family}.attention.sliding_window") or None
    name = " ".join(str(fields.get(f"general.{key}", "")) for key in ("name", "basename", "finetune"))
    if family != "llama" and window is not None and window < fields.get(f"{family}.context_length", 0):
        raise InputError(
            f"expected attention without a window, found one of {window} tokens in {place}, which does not say which "
            "layers have it; give the folder with its config.json and safetensors"
        )
    if family == "llama" and window is None and "mistral" in name.lower():
        raise InputError(
            f"expected the window of attention that a Mistral may have, found none in {place}; give the folder with "
            "its config.json and safetensors"
        )
    return window if family == "llama" else None


def _words(digits: str) -> Any:
    split = pre_tokenizers.Split(Regex(_WORDS.replace("DIGITS", digits)), "isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def _tokenizer(fields: Mapping[str, Any], path: Path) -> Tokenizer:
    """The byte-level BPE of the file. How it splits text into words is known only by name."""
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False)
    ways = {
        "gpt-2": plain,
        "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), plain]),
        "llama-bpe": _words(r"\p{N}{1,3}"),
        "qwen2": _words(r"\p{N}"),
    }
    kind = fields.get("tokenizer.ggml.model"), fields.get("tokenizer.ggml.pre", "gpt-2")
    if kind[0] != "gpt2" or kind[1] not in ways:
        raise InputError(
            f"expected byte-level BPE that splits words as one of {', '.join(ways)}, found {kind[0]!r} "
            f"with {kind[1]!r} in {path}; give the folder with its config.json, safetensors and tokenizer.json"
        )
    tokens = fields["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    try:
        tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    except Exception as error:  # tokenizers has no class of its own for a merge of unknown tokens
        raise ValueError(str(error)) from None
    tokenizer.pre_tokenizer = ways[kind[1]]
    tokenizer.decoder = decoders.ByteLevel()
    special = [t for t, type_ in zip(tokens, fields["tokenizer.ggml.token_type"], strict=True) if type_ == 3]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return tokenizer
