"""csvjax's tokens/s for each row of `benchmarks.gpu_shapes`, a line of JSON for each figure; see that benchmark.

    python -m benchmarks.peers.flax_gpu [--tiny] [--choices]

Weights are drawn on the device: each matrix with unit gain, the head so that logits have a deviation near 3.
`--choices` then measures what the program could do otherwise, and where its time goes.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from benchmarks.gpu_shapes import CONFIGS, ROWS, Row, tiny
from csvjax.lms import attention
from csvjax.lms.architecture import Architecture
from csvjax.lms.blocked_attention import blocked
from csvjax.lms.families import make_architecture
from csvjax.lms.transformer import Transformer
from csvjax.losses import nll

QUICK = "--tiny" in sys.argv
State = tuple[nnx.GraphDef, nnx.State]


def tell(kind: str, **values: Any) -> None:
    print(json.dumps({"kind": kind} | values), flush=True)


def seconds(run: Callable[[], jax.Array], total: float = 1.5) -> float:
    """The median of some runs, after one."""
    run().block_until_ready()
    times: list[float] = []
    while len(times) < 3 or (sum(times) < total and len(times) < 50):
        start = time.perf_counter()
        run().block_until_ready()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


@lru_cache(2)
def draw(name: str, dtype: str) -> tuple[Architecture, State]:
    from transformers import AutoConfig

    family, values = CONFIGS[name]
    shape = make_architecture(AutoConfig.for_model(family, **(tiny(values) if QUICK else values)))
    graph, state = nnx.split(nnx.eval_shape(lambda: Transformer(shape)))

    @partial(jax.jit, static_argnums=(1, 2, 3))
    def normal(key: jax.Array, size: tuple[int, ...], scale: float, kind: str) -> jax.Array:
        return (scale * jax.random.normal(key, size, jnp.float32)).astype(kind)

    filled = []
    key = jax.random.key(0, impl="rbg")
    for i, (path, parameter) in enumerate(nnx.to_flat_state(state)):
        size = tuple(parameter.shape)
        one = jax.random.fold_in(key, i)
        if len(size) == 1:
            value = normal(one, size, 0.1, "float32") + (path[-1] == "scale")
        else:
            gain = size[0] ** -0.5 if path[-1] == "kernel" else 3 * size[1] ** -0.5
            value = normal(one, size, gain, dtype)
        filled.append((path, parameter.replace(value)))
    return shape, (graph, nnx.from_flat_state(filled))


def flops(shape: Architecture, batch: int, length: int) -> float:
    """Products of a pass, with the half of attention that is seen."""
    attended = 2 * batch * length**2 * shape.heads * shape.head_width * len(shape.layers)
    return 2.0 * batch * length * (shape.params + shape.head_params) + attended


def tokens_of(row: Row, shape: Architecture) -> tuple[jax.Array, jax.Array]:
    both = np.random.default_rng(1).integers(0, shape.vocabulary, (row.batch, row.length + 1)).astype(np.int32)
    return jnp.asarray(both[:, :-1]), jnp.asarray(both[:, 1:])


def build(row: Row, options: dict[str, Any] | None = None) -> tuple[Callable[[], jax.Array], Architecture, Any, float]:
    """The compiled pass, and the seconds until it had run once."""
    shape, (graph, params) = draw(row.model, row.dtype)
    tokens, targets = tokens_of(row, shape)
    jax.block_until_ready((params, tokens))
    start = time.perf_counter()
    compiled = nll._token_nll.lower(graph, params, tokens, targets, None).compile(compiler_options=options)
    compiled(params, tokens, targets).block_until_ready()
    return lambda: compiled(params, tokens, targets), shape, compiled, time.perf_counter() - start


def matmul(size: int) -> float:
    """FLOP/s of the plain bfloat16 product of two random square matrices."""
    a, b = (jax.random.normal(jax.random.key(i), (size, size), jnp.bfloat16) for i in range(2))
    product = jax.jit(lambda a, b: jnp.matmul(a, b, preferred_element_type=jnp.bfloat16))
    return 2 * size**3 / seconds(lambda: product(a, b))


def measure(row: Row) -> None:
    run, shape, compiled, first = build(row)
    losses = np.asarray(run())
    taken = seconds(run)
    plan = compiled.memory_analysis()
    peak = plan.temp_size_in_bytes + plan.argument_size_in_bytes + plan.output_size_in_bytes
    rate = flops(shape, row.batch, row.length) / taken
    fused = [name for name in ("__cudnn$fmha", "tpu_custom_call") if name in compiled.as_text()]
    tell(
        "row",
        name=row.name,
        tokens_per_second=row.batch * row.length / taken,
        flops=rate,
        first_call=first,
        peak_bytes=peak,
        fused=fused,
        mean_loss=float(losses.mean()),
        finite=bool(np.isfinite(losses).all()),
    )


def unfused() -> Callable[[], None]:
    """Blocks for everything, until the returned function is called."""
    jax.clear_caches()
    chosen = attention.fused_kernel
    attention.fused_kernel = lambda *_: None

    def undo() -> None:
        attention.fused_kernel = chosen
        jax.clear_caches()

    return undo


def difference(row: Row) -> None:
    """Losses with the fused kernel, with blocks, and in float32: on one text of the row's length."""
    one = dataclasses.replace(row, batch=1)
    fused = np.asarray(build(one)[0]())
    undo = unfused()
    blocks = np.asarray(build(one)[0]())
    undo()
    apart = np.abs(fused - blocks)
    tell("difference", name=row.name, largest=float(apart.max()), mean=float(apart.mean()))


def check_attention() -> None:
    """The kernel alone, at shapes where it could go wrong: odd lengths, windows, wide heads, few keys and values."""
    cases = [(77, 12, 12, 64, None), (1000, 8, 2, 64, None), (1000, 8, 2, 128, 300), (80, 4, 1, 96, 5)]
    for length, heads, groups, width, window in [*cases, (2048, 8, 4, 256, 512), (513, 4, 4, 80, 1)]:
        keys = jax.random.split(jax.random.key(length), 3)
        q, k, v = (
            jax.random.normal(key, (2, length, n, width), jnp.bfloat16)
            for key, n in zip(keys, (heads, groups, groups), strict=True)
        )
        scale = 1.5 * width**-0.5
        found = jax.jit(partial(attention.attend, scale=scale, window=window, dtype=jnp.bfloat16))(q, k, v)
        plain = [x.astype(jnp.float32) for x in (q, k, v)]
        wanted = blocked(plain[0] * scale, plain[1], plain[2], window)
        apart = float(jnp.abs(found.astype(jnp.float32) - wanted).max())
        kernel = attention.fused_kernel(length, width, None, False, jnp.bfloat16)
        tell("attention", shape=[length, heads, groups, width, window], kernel=kernel, largest=apart)


def attempt(what: str, run: Callable[[], None]) -> None:
    """A row that fails must not cost the others."""
    try:
        run()
    except Exception as error:
        tell("failed", name=what, error=f"{type(error).__name__}: {error}"[:1500])


def main() -> None:
    device = jax.devices()[0]
    tell("device", name=device.device_kind, jax=jax.__version__, platform=jax.default_backend())
    rows = [dataclasses.replace(r, batch=min(r.batch, 2), length=r.length // 32) for r in ROWS] if QUICK else ROWS
    attempt("matmul", lambda: tell("matmul", flops=matmul(256 if QUICK else 8192)))
    for row in rows:
        attempt(row.name, partial(measure, row))
    attempt("attention", check_attention)
    for row in rows:
        if row.dtype != "float32":
            attempt(f"difference {row.name}", partial(difference, row))
    if "--choices" in sys.argv:
        from benchmarks.peers.flax_gpu_choices import choices

        choices(rows, QUICK)
    tell("end")


if __name__ == "__main__":
    main()
