"""Checkpoints that are not what they should be are refused with a sentence, before anything is computed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file, save_file

from csvjax.errors import InputError
from csvjax.lms.checkpoint import open_checkpoint
from csvjax.lms.fill import placeless
from csvjax.lms.revision import find_revision
from csvjax.lms.rope import make_rope
from csvjax.lms.tensors import fingerprint
from tests.lms.small import write_checkpoint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "lm")


def edit(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def with_tensors(change: Callable[[dict[str, np.ndarray]], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        change(weights)
        save_file(weights, folder / "model.safetensors")

    return apply


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def torn(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def half(folder: Path) -> None:
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")


Q = "model.layers.1.self_attn.q_proj.weight"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (pickled, r"found only pytorch_model.bin, a pickle.*save_pretrained\('converted'\)"),
        (torn, "whole safetensors file .* found one that cannot be read"),
        (half, "found no model-00002-of-00002.safetensors"),
        (lambda f: (f / "model.safetensors").unlink(), "safetensors in .* found none"),
        (lambda f: (f / "config.json").unlink(), "config.json in .* found none"),
        (lambda f: (f / "config.json").write_text("{"), "object in JSON"),
        (lambda f: (f / "tokenizer.json").write_text("{"), "files that transformers can read"),
        (lambda f: (f / "adapter_config.json").write_text("{}"), "an adapter_config.json too, .* merge the adapter"),
        (lambda f: edit(f, transformers_weights="x.safetensors"), "transformers_weights='x.safetensors'"),
        (lambda f: edit(f, is_causal=False), "reads from left to right"),
        (lambda f: edit(f, rope_theta=None), "a number above 0 as rope_theta .* found None"),
        (lambda f: edit(f, num_attention_heads=0), "expected"),
        (lambda f: edit(f, model_type="stablelm", qk_layernorm=True), "a StableLM without norms .* qk_layernorm"),
        (lambda f: edit(f, model_type="falcon", alibi=True), "a Falcon with rotary positions"),
        (lambda f: edit(f, model_type="bloom", apply_residual_connection_post_layernorm=True), "a BLOOM that adds"),
        (lambda f: edit(f, model_type="mistral", sliding_window=0), "sliding_window of at least 1 token .* found 0"),
        (lambda f: edit(f, model_type="mistral", sliding_window=-1), "sliding_window of at least 1 token .* found -1"),
        (
            lambda f: edit(f, model_type="qwen2", layer_types=["sliding_attention"] * 2),
            "sliding_window of at least 1 token .* found None",
        ),
        (lambda f: edit(f, model_type="mamba"), r"among bloom, .*gemma3_text, .*gpt2, .*found 'mamba'"),
        (lambda f: edit(f, hidden_act="laplace"), "activation among .* found 'laplace'"),
        (lambda f: edit(f, rope_parameters={"rope_type": "longrope", "rope_theta": 1e4}), "transformers can read"),
        (with_tensors(lambda w: w.pop(Q)), f"the tensor {Q} in .* found none"),
        (
            with_tensors(lambda w: w.update({Q: w[Q][:-1]})),
            r"blocks.1.query.kernel of shape \(16, 16\), found \(16, 15\)",
        ),
        (with_tensors(lambda w: w.update({Q.replace("weight", "bias"): w[Q][0]})), "q_proj.bias' too"),
        (with_tensors(lambda w: w.pop("model.embed_tokens.weight")), "embed_tokens.weight in .* found others"),
    ],
)
def test_a_wrong_checkpoint_is_refused(folder: Path, change: Callable[[Path], object], says: str) -> None:
    change(folder)
    with pytest.raises(InputError, match=says) as caught:
        open_checkpoint(str(folder)).load(jnp.float32, placeless)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("same", [True, False])
def test_a_tied_head_that_is_stored_is_the_head_where_it_differs(folder: Path, same: bool) -> None:
    """As in transformers: a tuned checkpoint may have a head of its own though its configuration says tied."""
    factor = np.float32(1 if same else 2)
    with_tensors(lambda w: w.update({"lm_head.weight": w["model.embed_tokens.weight"] * factor}))(folder)
    model = open_checkpoint(str(folder)).load(jnp.float32, placeless)
    assert (model.output is None) == same
    np.testing.assert_array_equal(model.head.T, model.embedding[...] * factor)


@pytest.mark.parametrize("tied", [None, False])
def test_the_head_of_a_model_with_vision_is_tied_as_the_whole_model_says(tmp_path: Path, tied: bool | None) -> None:
    folder = write_checkpoint(tmp_path / "lm", model_type="gemma3_text", head_dim=4)
    text = json.loads((folder / "config.json").read_text())
    outer = {} if tied is None else {"tie_word_embeddings": tied}
    (folder / "config.json").write_text(json.dumps({"model_type": "gemma3", "text_config": text, **outer}))
    weights = load_file(folder / "model.safetensors")
    weights = {name.replace("model.", "model.language_model.", 1): w for name, w in weights.items()}
    head = weights["model.language_model.embed_tokens.weight"] + np.float32(1)
    if tied is False:
        with pytest.raises(InputError, match=r"lm_head\.weight in"):
            open_checkpoint(str(folder))
        weights["lm_head.weight"] = head
    save_file(weights, folder / "model.safetensors")
    model = open_checkpoint(str(folder)).load(jnp.float32, placeless)
    np.testing.assert_array_equal(model.head.T, model.embedding[...] if tied is None else head)


def test_a_single_file_counts_beside_a_stale_index(folder: Path) -> None:
    wanted = open_checkpoint(str(folder))
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert open_checkpoint(str(folder)).fingerprint == wanted.fingerprint


def test_a_model_that_stands_beside_one_for_images_is_read(tmp_path: Path) -> None:
    plain = write_checkpoint(tmp_path / "plain", model_type="gemma3_text", head_dim=4)
    both = tmp_path / "both"
    shutil.copytree(plain, both)
    text = json.loads((plain / "config.json").read_text())
    (both / "config.json").write_text(json.dumps({"model_type": "gemma3", "text_config": text}))
    weights = {f"language_model.{name}": w for name, w in load_file(plain / "model.safetensors").items()}
    weights["vision_tower.patch.weight"] = np.zeros((2, 2), np.float32)
    save_file(weights, both / "model.safetensors")
    models = [open_checkpoint(str(f)).load(jnp.float32, placeless) for f in (plain, both)]
    jax.tree.map(np.testing.assert_array_equal, *(nnx.state(model) for model in models))


@pytest.mark.parametrize("lm", ["no/such/folder", "/no/such", "./nowhere"])
def test_a_path_that_is_not_there_is_refused(lm: str) -> None:
    with pytest.raises(InputError, match=r"checkpoint at .* found nothing there"):
        open_checkpoint(lm)


def test_a_name_of_the_hub_is_found_in_its_cache(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    cache = tmp_path / "cache"
    snapshot = cache / "models--some--lm" / "snapshots" / "0123"
    shutil.copytree(folder, snapshot)
    (cache / "models--some--lm" / "refs").mkdir()
    (cache / "models--some--lm" / "refs" / "main").write_text("0123")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    found = open_checkpoint("some/lm")
    assert found.name == "lm"
    assert found.architecture == open_checkpoint(str(folder)).architecture
    with pytest.raises(InputError, match="found neither under 'some/other'"):
        open_checkpoint("some/other")


@pytest.mark.parametrize(
    ("lm", "wanted"),
    [
        ("org/model@step1000", ("org/model", "step1000", 1000)),
        ("model@step7", ("model", "step7", 7)),
        ("org/model@step1000-tokens4B", ("org/model", "step1000-tokens4B", 1000)),
        ("org/model@stage1-step5000-tokens21B", ("org/model", "stage1-step5000-tokens21B", 5000)),
        ("org/model@stage2-ingredient1-step500-tokens2B", ("org/model", "stage2-ingredient1-step500-tokens2B", None)),
        ("org/model@refs/pr/1", ("org/model", "refs/pr/1", None)),
        ("org/model", None),
        ("org/model@", None),
    ],
)
def test_a_revision_tells_the_run_and_often_the_step(lm: str, wanted: tuple[str, str, int | None] | None) -> None:
    assert find_revision(lm) == wanted


def test_a_revision_is_asked_of_the_hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str | None]] = []

    def download(repository: str, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((repository, revision))
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    found = [open_checkpoint(f"org/model@{revision}") for revision in ("step10", "refs/pr/1")]
    assert asked == [("org/model", "step10"), ("org/model", "refs/pr/1")]
    assert [lm.name for lm in found] == ["model@step10", "model@refs/pr/1"]
    assert found[0].revision == ("org/model", "step10", 10)
    assert open_checkpoint("org/model").revision is None
    assert open_checkpoint("org/model@step10", "early").name == "early"


def test_an_at_sign_in_a_path_belongs_to_the_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder.rename(folder.parent / "lm@step10")
    monkeypatch.chdir(folder.parent)
    for lm in (str(folder), "lm@step10", "./lm@step10"):
        found = open_checkpoint(lm)
        assert (found.name, found.revision) == ("lm@step10", None)
    with pytest.raises(InputError, match="found nothing there"):
        open_checkpoint(f"{folder}/other@step1")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("deepseek_v3", "compressed vector"),
        ("llama4", "attends in chunks"),
        ("qwen3_next", "a recurrence"),
        ("gemma3n", "several states"),
        ("gpt_oss", "attention sinks"),
        ("glm4_moe", "its router"),
        ("phimoe", "sparsemixer"),
        ("t5", "an encoder"),
        ("never_heard_of", "does not know how to score"),
    ],
)
def test_a_family_that_is_not_supported_is_refused_with_a_reason(folder: Path, kind: str, reason: str) -> None:
    edit(folder, model_type=kind)
    with pytest.raises(InputError, match=rf"found '{kind}'; .*{reason}"):
        open_checkpoint(str(folder))


def test_code_of_a_checkpoint_is_not_run(folder: Path) -> None:
    edit(folder, auto_map={"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"})
    (folder / "evil.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\nclass Config: pass\n")
    open_checkpoint(str(folder)).load(jnp.float32, placeless)
    assert not (folder / "ran").exists()


def test_the_fingerprint_tells_weights_apart(folder: Path, tmp_path: Path) -> None:
    other = write_checkpoint(tmp_path / "other", seed=1)
    again = write_checkpoint(tmp_path / "again")
    one, two, three = (fingerprint([f / "model.safetensors"]) for f in (folder, other, again))
    assert one == three != two


def test_unknown_rotary_positions_are_refused() -> None:
    with pytest.raises(InputError, match="found 'proportional'"):
        make_rope({"rope_type": "proportional", "rope_theta": 1e4}, 8, 64)


def test_a_stretched_rotation_is_not_used_past_the_original_context() -> None:
    """There PyTorch takes the long factors for the whole text."""
    factors = {"short_factor": [1.0] * 4, "long_factor": [2.0] * 4, "original_max_position_embeddings": 16}
    assert make_rope({"rope_type": "longrope", "rope_theta": 1e4, **factors}, 8, 64).longest == 16


def test_texts_longer_than_the_positions_are_refused_from_python(tmp_path: Path) -> None:
    """JAX would take the last learned position for all that follow, and `dynamic` rotation would be another one."""
    dynamic = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
    for name, changes in {
        "llama": {"rope_parameters": dynamic, "max_position_embeddings": 8},
        "opt": {"ffn_dim": 24, "max_position_embeddings": 8},
    }.items():
        folder = write_checkpoint(tmp_path / name, model_type=name, **changes)
        model = open_checkpoint(str(folder)).load(jnp.float32, placeless)
        assert np.isfinite(model.hidden_states(jnp.zeros((1, 8), int))).all()
        with pytest.raises(InputError, match=rf"at most 8 tokens, .* the {name} model .* found 9"):
            model.hidden_states(jnp.zeros((1, 9), int))


@pytest.mark.parametrize("top", [True, False])
@pytest.mark.parametrize("kind", ["yarn", "llama3"])
def test_the_original_context_may_stand_at_the_top(folder: Path, kind: str, top: bool) -> None:
    """And counts there more than in `rope_parameters`, as in transformers."""
    rope: dict[str, object] = {"rope_type": kind, "rope_theta": 1e4, "factor": 4.0}
    rope |= {"low_freq_factor": 1.0, "high_freq_factor": 4.0} if kind == "llama3" else {}
    edit(folder, rope_parameters=rope | {"original_max_position_embeddings": 32})
    wanted = open_checkpoint(str(folder)).architecture.layers
    other = rope | {"original_max_position_embeddings": 64}
    edit(folder, rope_parameters=other if top else rope, original_max_position_embeddings=32)
    assert open_checkpoint(str(folder)).architecture.layers == wanted
