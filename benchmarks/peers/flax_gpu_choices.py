"""What csvjax's pass could do otherwise on a GPU, and where its time goes; run by `benchmarks.peers.flax_gpu`."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp

from benchmarks.gpu_shapes import Row
from benchmarks.peers.flax_gpu import attempt, build, draw, seconds, tell
from csvjax.lms import transformer
from csvjax.losses import nll

OPTIONS = ({"xla_gpu_enable_cublaslt": True}, {"xla_gpu_enable_triton_gemm": False})


def choices(rows: Sequence[Row], quick: bool) -> None:
    for row in rows[:2]:
        attempt(f"profile {row.name}", partial(profile, row))
    for row in (rows[0], rows[1]):
        attempt(f"head {row.name}", partial(heads, row))
        for options in () if quick else OPTIONS:
            attempt(f"{options} {row.name}", partial(variant, row, str(options), options))
        attempt(f"inner {row.name}", partial(wide_inner, row))


def variant(row: Row, what: str, options: dict[str, bool] | None = None) -> None:
    run, _, _, first = build(row, options)
    tell("variant", name=row.name, what=what, tokens_per_second=row.batch * row.length / seconds(run), first_call=first)


def wide_inner(row: Row) -> None:
    """With float32 between the products of a branch."""
    narrow = transformer._product
    transformer._product = lambda x, kernel, inner: narrow(x, kernel, False)
    jax.clear_caches()
    try:
        variant(row, "float32 inside branches")
    finally:
        transformer._product = narrow
        jax.clear_caches()


def online(states: jax.Array, target: jax.Array, rows: jax.Array) -> jax.Array:
    """The head with a single pass over the logits: maximum and sum in one reduction."""

    def add(a: tuple[jax.Array, jax.Array], b: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        most = jnp.maximum(a[0], b[0])
        return most, a[1] * jnp.exp(a[0] - most) + b[1] * jnp.exp(b[0] - most)

    logits = jnp.matmul(states, rows.T, preferred_element_type=jnp.float32)
    most, total = jax.lax.reduce((logits, jnp.ones_like(logits)), (jnp.float32(-1e30), jnp.float32(0)), add, (1,))
    chosen = jnp.einsum("pd,pd->p", states, rows[target], preferred_element_type=jnp.float32)
    return most + jnp.log(total) - chosen


def heads(row: Row) -> None:
    """The head alone, in blocks of different sizes."""
    shape, _ = draw(row.model, row.dtype)
    count, width, vocabulary = row.batch * row.length, shape.width, shape.vocabulary
    keys = jax.random.split(jax.random.key(0), 3)
    hidden = jax.random.normal(keys[0], (count, width), jnp.bfloat16)
    head = (3 * width**-0.5 * jax.random.normal(keys[1], (vocabulary, width))).astype(jnp.bfloat16)
    targets = jax.random.randint(keys[2], (count,), 0, vocabulary)
    tiles = vocabulary // 128 * 128
    useful = 2 * count * width * vocabulary

    def one(block: int, columns: int) -> None:
        run = jax.jit(lambda h, r, t: nll.blocked_nll(h, r.T, t, block, None, columns))
        taken = seconds(lambda: run(hidden, head, targets), 0.5)
        tell("head", name=row.name, block=block, columns=columns, flops=useful / taken, seconds=taken)

    for block, columns in ((2048, 4096), (4096, 8192), (8192, 4096), (16384, 8192), (8192, 16384)):
        attempt(f"head {block} {columns}", partial(one, min(block, count), min(columns, tiles // 5)))
    for block in (2048, 4096, 8192):
        attempt(
            f"whole head {block}", partial(whole, hidden, head, targets, min(block, count), False, row.name, useful)
        )
        attempt(
            f"online head {block}", partial(whole, hidden, head, targets, min(block, count), True, row.name, useful)
        )


def whole(
    hidden: jax.Array, head: jax.Array, targets: jax.Array, block: int, single: bool, name: str, useful: float
) -> None:
    tiles = len(head) // 128 * 128

    def one(part: tuple[jax.Array, jax.Array], rows: jax.Array) -> jax.Array:
        return online(*part, rows[:tiles]) if single else nll._wide(*part, rows, None, tiles)

    @jax.jit
    def run(h: jax.Array, rows: jax.Array, t: jax.Array) -> jax.Array:
        parts = h.reshape(-1, block, h.shape[1]), t.reshape(-1, block)
        return jax.lax.map(partial(one, rows=rows), parts)

    taken = seconds(lambda: run(hidden, head, targets), 0.5)
    what = "one reduction" if single else "whole vocabulary"
    tell("head", name=name, block=block, columns=what, flops=useful / taken, seconds=taken)


def profile(row: Row, most: int = 25) -> None:
    """The kernels that take the longest in one pass, in milliseconds."""
    run = build(row)[0]
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            run().block_until_ready()
        (file,) = Path(folder).rglob("*.xplane.pb")
        found = jax.profiler.ProfileData.from_file(str(file))
        taken: Counter[str] = Counter()
        for plane in found.planes:
            if "/device:" in plane.name and "CUSTOM" not in plane.name:
                for line in plane.lines:
                    if line.name.startswith("Stream"):
                        for event in line.events:
                            taken[event.name] += event.duration_ns / 1e6
    kernels = [(name[:90], round(ms, 3)) for name, ms in taken.most_common(most)]
    tell("profile", name=row.name, total=sum(taken.values()), kernels=kernels)
