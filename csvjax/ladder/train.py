"""Trains one run of the ladder. A resumed run gives exactly the same bits as an uninterrupted one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from safetensors.numpy import load_file, save_file

from csvjax.errors import InputError
from csvjax.ladder.recipe import Recipe, Run
from csvjax.lms.decoder import Decoder

__all__ = ["batches", "checkpoint_path", "load_decoder", "train"]

State = dict[str, np.ndarray]


def checkpoint_path(folder: Path, run: Run, step: int) -> Path:
    return folder / run.name / f"step-{step:05d}.safetensors"


def batches(recipe: Recipe, run: Run, streams: dict[str, np.ndarray], start: int) -> Iterator[np.ndarray]:
    """Batches of tokens [batch, context + 1] from step `start` on, the same for all sizes of a mixture.

    Each sequence is the next unread chunk of a domain, which is drawn with the shares of the mixture; after its end a
    domain starts again. The draw of step i depends only on the recipe, so a resumed run gets the same batches.
    """
    shares = recipe.mixtures[run.mixture]
    domains = list(shares)
    rng = np.random.default_rng([recipe.seed, *run.mixture.encode()])
    picks = rng.choice(len(domains), (recipe.steps, recipe.batch), p=list(shares.values()))
    length = recipe.context + 1
    chunks = {d: streams[d][: len(streams[d]) // length * length].reshape(-1, length) for d in domains}
    orders = {d: rng.permutation(len(chunks[d])) for d in domains}
    before = np.cumsum([np.bincount(p, minlength=len(domains)) for p in picks], axis=0)
    for step in range(start, recipe.steps):
        read = list(before[step - 1]) if step else [0] * len(domains)
        rows = []
        for d in picks[step]:
            order = orders[domains[d]]
            rows.append(chunks[domains[d]][order[read[d] % len(order)]])
            read[d] += 1
        yield np.stack(rows).astype(np.int32)


def _flat(tree: object) -> State:
    return {f"{i:04d}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(tree))}


def _save(state: State, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    save_file(state, part)
    os.replace(part, path)  # a checkpoint is complete or absent


def _restore(like: object, path: Path) -> object:
    leaves = load_file(path)
    return jax.tree.unflatten(jax.tree.structure(like), [jnp.asarray(leaves[k]) for k in sorted(leaves)])


def _fresh(recipe: Recipe, run: Run) -> tuple[nnx.GraphDef, nnx.State]:
    return nnx.split(Decoder(recipe.decoder(run), nnx.Rngs(recipe.seed)))


def load_decoder(recipe: Recipe, run: Run, path: Path) -> Decoder:
    """Load the language model of a checkpoint."""
    graph, params = _fresh(recipe, run)
    return nnx.merge(graph, _restore(params, path))


def _optimiser(recipe: Recipe, run: Run) -> optax.GradientTransformation:
    # Wider models have smaller learning rates: 1/sqrt(width) from width 36 on, a weaker form of the 1/width of muP.
    peak = recipe.learning_rate * (36 / max(36, recipe.decoder(run).width)) ** 0.5
    schedule = optax.warmup_constant_schedule(0.0, peak, recipe.warmup)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, b2=0.98, weight_decay=0.01))


def _chunk_of_steps(graph: nnx.GraphDef, optimiser: optax.GradientTransformation) -> Callable:
    def loss(params: nnx.State, tokens: jax.Array) -> jax.Array:
        model = nnx.merge(graph, params)
        logits = model.hidden_states(tokens[:, :-1]) @ model.head
        return optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:]).mean()

    def step(carry: tuple, tokens: jax.Array) -> tuple[tuple, jax.Array]:
        params, state = carry
        value, gradient = jax.value_and_grad(loss)(params, tokens)
        updates, state = optimiser.update(gradient, state, params)
        return (optax.apply_updates(params, updates), state), value

    return jax.jit(lambda carry, tokens: jax.lax.scan(step, carry, tokens))


def train(
    recipe: Recipe,
    run: Run,
    streams: dict[str, np.ndarray],
    folder: Path,
    progress: Callable[[int, float], None] = lambda step, loss: None,
    scan: int = 16,
) -> None:
    """Train a run to its last step, or resume it from `folder`.

    Every checkpoint of the recipe is saved; `last.safetensors` has parameters and optimiser state for resuming. After
    every `scan` steps, `progress` is called with the step and the mean loss in nats.
    """
    uneven = [step for step in recipe.checkpoints if step % scan]
    if uneven:
        raise InputError(f"expected checkpoints at multiples of {scan} steps, found {uneven}; change the recipe")
    graph, params = _fresh(recipe, run)
    optimiser = _optimiser(recipe, run)
    carry = (params, optimiser.init(params))
    last = folder / run.name / "last.safetensors"
    done = 0
    if last.exists():
        done = int(load_file(last)["step"])
        carry = _restore_carry(carry, last)
    advance = _chunk_of_steps(graph, optimiser)
    stream = batches(recipe, run, streams, done)
    for step in range(done + scan, recipe.steps + 1, scan):
        tokens = np.stack([next(stream) for _ in range(scan)])
        carry, losses = advance(carry, tokens)
        if not np.isfinite(losses).all():
            raise FloatingPointError(f"training of {run.name} diverged before step {step}; use a lower learning rate")
        if step in recipe.checkpoints:
            _save(_flat(carry[0]), checkpoint_path(folder, run, step))
        if step in recipe.checkpoints or step % recipe.save_every == 0:
            _save({**_flat(carry), "step": np.asarray(step)}, last)
        progress(step, float(losses.mean()))


def _restore_carry(carry: tuple, path: Path) -> tuple:
    leaves = load_file(path)
    del leaves["step"]
    return jax.tree.unflatten(jax.tree.structure(carry), [jnp.asarray(leaves[k]) for k in sorted(leaves)])
