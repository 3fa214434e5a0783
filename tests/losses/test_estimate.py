"""What is promised before a run: the tokens that batches hold, and the memory that XLA takes."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from csvjax.lms.checkpoint import open_checkpoint
from csvjax.lms.transformer import Transformer
from csvjax.losses import nll
from csvjax.losses.batches import choose_shapes, cut_batches
from csvjax.losses.estimate import estimate, matmul_speed
from csvjax.losses.extract import LossOptions, plan
from csvjax.losses.text import Document
from tests.lms.small import write_checkpoint

DOCUMENTS = [Document("a", "long", "the theme of them " * 200), Document("a", "short", "they say")]


def test_tokens_are_those_that_batches_hold_but_for_empty_rows(tmp_path: Path) -> None:
    lm = open_checkpoint(str(write_checkpoint(tmp_path / "lm")))
    options = LossOptions(context=128, stride=32, batch=512)
    text, (task,) = plan([lm], DOCUMENTS, options)
    found = estimate(task, options, 1e9)
    shapes = choose_shapes(task.windows[:, 2], 128, 512)
    batches = list(cut_batches(text.ids, task.windows, task.first, (0, len(text.units)), shapes))
    held = sum(batch.tokens.size for batch in batches)
    assert found.scored == len(text.units)
    assert found.windows == sum(len(batch.rows) for batch in batches)
    assert held - 512 <= found.read <= held
    slower = estimate(task, options, 1e8)
    assert slower.seconds == pytest.approx(10 * found.seconds)


def test_memory_is_enough_and_not_far_above(tmp_path: Path) -> None:
    """Weights, and what XLA takes beside them: at least that, and less than three times as much."""
    sizes = {"hidden_size": 256, "intermediate_size": 1024, "vocab_size": 40_000, "max_position_embeddings": 512}
    lm = open_checkpoint(str(write_checkpoint(tmp_path / "lm", **sizes)))
    options = LossOptions(context=512, batch=2048)
    _, (task,) = plan([lm], DOCUMENTS, options)
    graph, params = nnx.split(nnx.eval_shape(lambda: Transformer(lm.architecture)))
    tokens = jax.ShapeDtypeStruct((4, 512), jnp.int32)
    used = nll._token_nll.lower(graph, params, tokens, tokens, 512).compile().memory_analysis()
    weights = sum(int(np.prod(x.shape)) * 4 for x in jax.tree.leaves(params))
    promised = estimate(task, options, 1e9).bytes - weights
    assert used.temp_size_in_bytes <= promised * 1.05
    assert promised < 3 * used.temp_size_in_bytes


def test_the_speed_of_matrix_products_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the precision that the model's products have, and not in the platform's own."""
    said: list[object] = []
    matmul = jnp.matmul

    def spy(a: jax.Array, b: jax.Array, precision: object = None) -> jax.Array:
        said.append(precision)
        return matmul(a, b, precision=precision)  # type: ignore[arg-type]  # "highest"

    monkeypatch.setattr(jnp, "matmul", spy)
    assert matmul_speed(size=64) > 0
    assert set(said) == {"highest"}
    monkeypatch.undo()
    assert 1e8 < matmul_speed(size=256) < 1e16
