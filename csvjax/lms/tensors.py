"""Reads tensors by name from safetensors files, memory-mapped and one at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from csvjax.errors import InputError

__all__ = ["SafeTensors", "Tensors", "find_weights", "fingerprint"]


@runtime_checkable
class Tensors(Protocol):
    """Named arrays. `place` is their file for errors; `kind` is the type of the numbers, as safetensors spells it."""

    place: str

    def names(self) -> Iterable[str]: ...

    def shape(self, name: str) -> tuple[int, ...]: ...

    def kind(self, name: str) -> str: ...

    def read(self, name: str) -> np.ndarray: ...


def find_weights(folder: Path) -> tuple[Path, ...]:
    """The safetensors files of a checkpoint: `model.safetensors`, or the files in its index, or all files.

    If there is a `model.safetensors`, an index is outdated; transformers ignores it too.

    Raises: InputError if there is no file, or if a file of the index is missing or elsewhere.
    """
    one = folder / "model.safetensors"
    if one.is_file():
        return (one,)
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
            raise InputError(
                f"expected a weight_map of tensors to files in {index}, found something else; download it again"
            ) from None
        if outside := [name for name in names if Path(name).name != name]:
            raise InputError(
                f"expected {index} to name files in the folder of the checkpoint, found {outside[0]!r}; download it "
                "again"
            )
        files = tuple(folder / name for name in names)
        if absent := [file.name for file in files if not file.is_file()]:
            raise InputError(
                f"expected {len(files)} files of weights in {folder}, found no {absent[0]}; download the "
                "checkpoint again"
            )
        return files
    if files := tuple(sorted(folder.glob("*.safetensors"))):
        return files
    pickled = sorted(file.name for kind in ("*.bin", "*.pt", "*.pth", "*.ckpt") for file in folder.glob(kind))
    if pickled:
        raise InputError(
            f"expected weights as safetensors in {folder}, found only {pickled[0]}, a pickle, which can run code when "
            "it is read; if you trust it, convert it with torch and transformers: "
            'python -c "from transformers import AutoModelForCausalLM as M; '
            f"M.from_pretrained('{folder}').save_pretrained('converted')\""
        )
    raise InputError(f"expected *.safetensors in {folder}, found none; give the folder of a checkpoint")


class SafeTensors:
    """The tensors of several safetensors files."""

    def __init__(self, files: Sequence[Path]):
        from safetensors import SafetensorError, safe_open

        self.place = str(files[0] if len(files) == 1 else files[0].parent)
        self._found: dict[str, tuple[Path, tuple[int, ...], str]] = {}
        for path in files:
            try:
                with safe_open(path, "np") as opened:
                    for name in opened.keys():  # noqa: SIM118  # not a dict
                        part = opened.get_slice(name)
                        self._found[name] = path, tuple(part.get_shape()), part.get_dtype()
            except (SafetensorError, OSError) as error:
                raise InputError(
                    f"expected a whole safetensors file at {path}, found one that cannot be read ({error}); "
                    "download it again"
                ) from None

    def names(self) -> Iterable[str]:
        return self._found

    def shape(self, name: str) -> tuple[int, ...]:
        return self._found[name][1]

    def kind(self, name: str) -> str:
        return self._found[name][2]

    def read(self, name: str) -> np.ndarray:
        from safetensors import safe_open

        # Opened for each tensor, because pages of a mapped file stay in memory until it is closed.
        with safe_open(self._found[name][0], "np") as opened:
            return opened.get_tensor(name)


def fingerprint(files: Sequence[Path], parts: int = 64, size: int = 1 << 16) -> str:
    """SHA-256 in hexadecimal of the lengths of the files and of `parts` pieces of each file, to identify a checkpoint.

    Only pieces are read, so that a file of many gigabytes takes a moment. Two checkpoints of a run differ everywhere.
    """
    digest = hashlib.sha256()
    for path in files:
        length = path.stat().st_size
        digest.update(length.to_bytes(8, "little"))
        with path.open("rb") as file:
            for part in range(parts):
                file.seek(max(0, length - size) * part // max(1, parts - 1))
                digest.update(file.read(size))
    return digest.hexdigest()
