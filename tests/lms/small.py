"""Small checkpoints with tokenizers, written without PyTorch: random weights under the names of `transformers`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from csvjax.lms.checkpoint import read_config
from csvjax.lms.families import make_architecture
from csvjax.lms.tables import NAMING
from csvjax.lms.transformer import Transformer

TRAINING = ["the theme of them: schön, schöner, 日本 and the other things that they say in the end\r\n"] * 3
CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "tie_word_embeddings": True,
}


def byte_level(vocabulary: int = 300) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|end|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(TRAINING, trainer)
    return tokenizer


def sentencepiece(vocabulary: int = 400) -> Tokenizer:
    """In the way of Llama 2: a space before the text, spaces as ▁, bytes for characters it does not know."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")  # while it learns: no token of two words
    bytes_ = [f"<0x{b:02X}>" for b in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=["<unk>", "<s>", "</s>", *bytes_], show_progress=False
    )
    tokenizer.train_from_iterator(TRAINING, trainer)
    # As in Llama 2 the bytes are ordinary tokens: only <unk>, <s> and </s> are special.
    described = json.loads(tokenizer.to_str())
    described["added_tokens"] = [token for token in described["added_tokens"] if token["id"] < 3]
    return Tokenizer.from_str(json.dumps(described | {"pre_tokenizer": None}))


def write_checkpoint(folder: Path, seed: int = 0, tokenizer: Tokenizer | None = None, **changes: Any) -> Path:
    """A checkpoint folder: Llama, or what `changes` make of it, with `tokenizer` (default: `byte_level()`)."""
    folder.mkdir(parents=True)
    tokenizer = tokenizer or byte_level()
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"bos_token": "<|end|>" if tokenizer.token_to_id("<|end|>") is not None else "<s>"}
    described = {"tokenizer_class": "PreTrainedTokenizerFast", **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(described))
    config = CONFIG | {"vocab_size": tokenizer.get_vocab_size()} | changes
    (folder / "config.json").write_text(json.dumps(config))
    save_file(random_weights(folder, seed), folder / "model.safetensors")
    return folder


def random_weights(folder: Path, seed: int = 0) -> dict[str, np.ndarray]:
    shape = make_architecture(read_config(folder))
    naming, rng = NAMING[shape.family], np.random.default_rng(seed)
    assert naming.fused is None
    _, state = nnx.split(nnx.eval_shape(lambda: Transformer(shape)))
    found = {}
    for path, parameter in nnx.to_flat_state(state):
        size = tuple(reversed(parameter.shape)) if path[-1] == "kernel" else tuple(parameter.shape)
        kind = "bias" if path[-1] == "bias" else "weight"
        if path[0] == "blocks":
            name = f"{naming.prefixes[0]}{naming.block[path[2]].format(path[1])}.{kind}"
        elif path[0] == "output":
            name = f"{naming.output}.weight"
        else:
            name = f"{naming.prefixes[0]}{naming.top[path[0]]}.{kind}"
        found[name] = (rng.normal(size=size) * 0.4 + (path[-1] == "scale")).astype(np.float32)
    return found
