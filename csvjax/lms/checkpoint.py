"""Opens checkpoints in folders or on the Hugging Face Hub, without running code that comes with them."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
from jaxtyping import DTypeLike
from tokenizers import Tokenizer

from csvjax.errors import InputError
from csvjax.lms.architecture import Architecture
from csvjax.lms.families import FAMILIES, make_architecture, unknown_family
from csvjax.lms.fill import Place, check, fill, placeless
from csvjax.lms.revision import Revision, find_revision
from csvjax.lms.tensors import SafeTensors, find_weights, fingerprint
from csvjax.lms.transformer import Transformer
from csvjax.objects import refuse_remote

__all__ = ["Checkpoint", "locate", "open_checkpoint", "quietly"]

_WANTED = ("*.json", "*.safetensors", "*.model", "tokenizer*", "merges.txt", "vocab.*")


@dataclass(frozen=True)
class Checkpoint:
    """A language model whose weights are not read yet.

    Attributes:
        name: name of the model.
        architecture: the architecture.
        tokenizer: the tokenizer.
        first: the token before each document when its first token is scored: the beginning of text, or the end of text
            if the tokenizer has no beginning; None if it has neither.
        fingerprint: identifies the weights.
        load: reads the weights, `load(dtype, place)`.
        revision: the revision of a repository that it was opened from, or None.
    """

    name: str
    architecture: Architecture
    tokenizer: Tokenizer
    first: int | None
    fingerprint: str
    load: Callable[[DTypeLike, Place], Transformer]
    revision: Revision | None = None


def locate(lm: str) -> Path:
    """The folder or file of a checkpoint. A name on the hub is downloaded unless it is in the local cache.

    `NAME@REVISION` is a branch, a tag or a commit of a repository on the hub, unless there is a path with this name.

    Raises: InputError if there is no such path and no such name.
    """
    refuse_remote(lm, "a checkpoint")
    path = Path(lm).expanduser()
    if path.exists():
        return path
    asked = find_revision(lm)
    repository = lm if asked is None else asked.run
    if path.is_absolute() or lm.startswith(".") or repository.count("/") > 1:
        raise InputError(f"expected a checkpoint at {path}, found nothing there; check the path")
    from huggingface_hub import snapshot_download

    try:
        revision = None if asked is None else asked.revision
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(_WANTED)))
    except Exception as error:  # errors of the hub, the network and the cache
        raise InputError(
            f"expected a folder or a name on the hub, found neither under {lm!r} ({_first_line(error)}); check the "
            "spelling, or download the checkpoint elsewhere and give its folder"
        ) from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def open_checkpoint(lm: str, name: str | None = None) -> Checkpoint:
    """Open a checkpoint without reading its weights.

    Args:
        lm: a folder, a .gguf file or a name on the hub, with @REVISION or without.
        name: name of the model; None for the last part of `lm`, with its revision.

    Raises: InputError for a family that csvjax does not know, weights that are not safetensors or GGUF, quantised
    weights, tensors that do not fit the model, and files that cannot be read.
    """
    path, revision = locate(lm), find_revision(lm)
    if revision is None:
        name = name or Path(lm).name.removesuffix(".gguf")
    else:
        name = name or f"{revision.run.rpartition('/')[2]}@{revision.revision}"
    if path.is_file():
        if path.suffix != ".gguf":
            raise InputError(f"expected the folder of a checkpoint or a .gguf file, found {path}; give the folder")
        from csvjax.lms.gguf import open_gguf

        return open_gguf(path, name)
    config = read_config(path)
    architecture = make_architecture(config)
    files = find_weights(path)
    tensors = SafeTensors(files)
    check(architecture, tensors)  # checked now, not after hours of work on other models
    tokenizer, first = read_tokenizer(path)

    def load(dtype: DTypeLike = jnp.float32, place: Place = placeless) -> Transformer:
        return fill(architecture, tensors, dtype, place)

    return Checkpoint(name, architecture, tokenizer, first, fingerprint(files), load, revision)


def read_config(folder: Path) -> Any:
    """The configuration of a checkpoint, with the defaults of `transformers`; of a vision model, its text part.

    Raises: InputError if there is none, if csvjax does not know the family, and if the weights are quantised or changed
    by another file.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise InputError(f"expected a config.json in {folder}, found none; give the folder of a checkpoint")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        kind = raw.get("model_type")
    except (ValueError, AttributeError, RecursionError):
        raise InputError(f"expected an object in JSON in {path}, found something else; download it again") from None
    if kind not in (*FAMILIES, "gemma3"):
        raise InputError(f"{path}: {unknown_family(kind)}")
    _check_plain(raw, path)
    config = quietly(lambda auto: auto.AutoConfig.from_pretrained(folder, trust_remote_code=False), path)
    if kind != "gemma3":
        return config
    text = config.text_config
    text.tie_word_embeddings = config.tie_word_embeddings  # the setting of the whole model counts
    return text


def _check_plain(raw: Mapping[str, Any], path: Path) -> None:
    """Refuse checkpoints whose weights are not those of a plain model of the family."""
    for part in (raw, raw.get("text_config")):
        for key in ("quantization_config", "quantization", "compression_config"):
            found = part.get(key) if isinstance(part, Mapping) else None
            if found:
                method = found.get("quant_method") or found.get("format") if isinstance(found, Mapping) else found
                by = f"by {method}" if method else f"to {found.get('bits')} bits"
                raise InputError(
                    f"expected weights that are not quantised, found a {key} in {path} ({by}); csvjax would score "
                    "another model, so give the checkpoint that it was made from"
                )
    if raw.get("transformers_weights"):
        raise InputError(
            f"expected weights under their usual names, found transformers_weights={raw['transformers_weights']!r} in "
            f"{path}; save the model again with transformers"
        )
    if (path.parent / "adapter_config.json").is_file():
        raise InputError(
            f"expected a whole model in {path.parent}, found an adapter_config.json too, which changes its weights; "
            "merge the adapter into the model, or remove it"
        )


def read_tokenizer(folder: Path) -> tuple[Tokenizer, int | None]:
    """The fast tokenizer of a checkpoint, and the token that begins a text.

    Raises: InputError if `transformers` cannot read a fast tokenizer, or a damaged one.
    """
    found = quietly(lambda auto: auto.AutoTokenizer.from_pretrained(folder, trust_remote_code=False), folder)
    backend = getattr(found, "backend_tokenizer", None)
    if backend is None:
        raise InputError(
            f"expected a tokenizer with a tokenizer.json in {folder}, found one in Python; save it again "
            "with transformers"
        )
    try:
        tokenizer = Tokenizer.from_str(backend.to_str())
    except Exception as error:  # tokenizers has no class of its own, for example for a merge of unknown tokens
        raise InputError(
            f"expected a whole tokenizer in {folder}, found one that cannot be read ({error}); download it again"
        ) from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer, found.bos_token_id if found.bos_token_id is not None else found.eos_token_id


def quietly(read: Callable[[Any], Any], place: Path) -> Any:
    """`read(transformers)`, without the warnings of `transformers`.

    Raises: InputError that names `place`, for any error.
    """
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")  # otherwise it warns that there is no torch
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        import transformers

        return read(transformers)
    except Exception as error:  # errors of JSON, tokenizers and validation
        raise InputError(
            f"expected files that transformers can read in {place}, found others ({_first_line(error)}); download "
            "the checkpoint again"
        ) from None
    finally:
        logger.setLevel(level)
