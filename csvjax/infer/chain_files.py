"""Chains in a folder, so that an interrupted sampler can resume: arrays in one .npz file, nothing is pickled."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from csvjax.atomic import replacing
from csvjax.errors import InputError

__all__ = ["is_key", "load_chains", "save_chains"]

Blocks = list[dict[str, np.ndarray]]


def is_key(leaf: Any) -> bool:
    """Whether a leaf of a state is a random key."""
    return bool(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key))


def _mark(settings: Any, mode: Any) -> str:
    """A checksum of the settings and of the mode, which depends on the data, the density and the key. The number of
    draws does not count, so that chains can be continued.
    """
    return hashlib.sha256(repr(replace(settings, draws=0, longer=0)).encode() + np.asarray(mode).tobytes()).hexdigest()


def save_chains(folder: Path | None, settings: Any, mode: Any, states: Any, blocks: Blocks) -> None:
    """Write the states of the chains and their draws so far; the file is complete or absent."""
    if folder is None:
        return
    leaves = [np.asarray(jax.random.key_data(a) if is_key(a) else a) for a in jax.tree.leaves(states)]
    arrays: dict[str, Any] = {f"state_{i}": leaf for i, leaf in enumerate(leaves)}
    arrays |= {f"draws_{name}": np.concatenate([b[name] for b in blocks], axis=1) for name in blocks[0]}
    with replacing(folder / "chains.npz") as part, part.open("wb") as file:
        np.savez(file, mark=np.asarray(_mark(settings, mode)), **arrays)


def load_chains(folder: Path | None, settings: Any, mode: Any, states: Any) -> tuple[Blocks, Any]:
    """The draws so far and the states to resume from; no draws and the given `states` if nothing was kept.

    Raises: InputError if the folder holds chains of other data, another density, key or settings.
    """
    path = None if folder is None else folder / "chains.npz"
    if path is None or not path.exists():
        return [], states
    with np.load(path, allow_pickle=False) as kept:
        if str(kept["mark"]) != _mark(settings, mode):
            raise InputError(
                f"expected chains of this fit in {path}, found those of other data, settings or key; "
                f"remove the file, or use another folder"
            )
        leaves, tree = jax.tree.flatten(states)
        found = [kept[f"state_{i}"] for i in range(len(leaves))]
        wrapped = [
            jax.random.wrap_key_data(a, impl=jax.random.key_impl(b)) if is_key(b) else jnp.asarray(a)
            for a, b in zip(found, leaves, strict=True)
        ]
        names = [name for name in kept.files if name.startswith("draws_")]
        return [{name.removeprefix("draws_"): kept[name] for name in names}], jax.tree.unflatten(tree, wrapped)
