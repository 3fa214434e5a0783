"""Training: what is read, that it learns, and that a killed run ends in the same bytes as one left alone."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

from csvjax.errors import InputError
from csvjax.ladder.recipe import Recipe, Run
from csvjax.ladder.train import batches, checkpoint_path, load_decoder, train

HALF = 16  # tokens 0..15 are those of domain a, 16..31 of domain b
RECIPE = Recipe(
    sources=(),
    mixtures={"mostly-a": {"a": 0.8, "b": 0.2}, "mostly-b": {"a": 0.2, "b": 0.8}},
    sizes={"small": (8, 1, 2), "large": (16, 1, 2)},
    checkpoints=(32, 64, 96),
    batch=8,
    context=12,
    vocabulary=2 * HALF,
    warmup=8,
    save_every=16,
)
RUN = Run("mostly-a", "small")


def walk(first: int, step: int, tokens: int) -> np.ndarray:
    """Each token is the one before plus `step` (mod 16), one time in ten any of them: uniform, but easy to foretell."""
    rng = np.random.default_rng(step)
    jumps = np.where(rng.random(tokens) < 0.1, rng.integers(0, HALF, tokens), step)
    return (first + np.cumsum(jumps) % HALF).astype(np.uint16)


STREAMS = {"a": walk(0, 3, 6000), "b": walk(HALF, 5, 6000)}


@pytest.mark.parametrize("start", [1, 17, 64, RECIPE.steps - 1])
def test_batches_are_the_same_from_any_step(start: int) -> None:
    whole = np.stack(list(batches(RECIPE, RUN, STREAMS, 0)))
    assert whole.shape == (RECIPE.steps, RECIPE.batch, RECIPE.context + 1)
    np.testing.assert_array_equal(np.stack(list(batches(RECIPE, RUN, STREAMS, start))), whole[start:])


def test_every_size_reads_the_same() -> None:
    for small, large in zip(
        batches(RECIPE, RUN, STREAMS, 0), batches(RECIPE, Run("mostly-a", "large"), STREAMS, 0), strict=True
    ):
        np.testing.assert_array_equal(small, large)


@pytest.mark.parametrize("mixture", RECIPE.mixtures)
def test_domains_come_in_the_shares_of_the_mixture(mixture: str) -> None:
    """Within four standard deviations of the binomial; and no sequence mixes domains."""
    recipe = replace(RECIPE, checkpoints=(640,))
    rows = np.concatenate(list(batches(recipe, Run(mixture, "small"), STREAMS, 0)))
    of_b = (rows >= HALF).mean(axis=1)
    assert set(of_b) == {0.0, 1.0}
    share = recipe.mixtures[mixture]["b"]
    assert abs(of_b.sum() - share * len(rows)) < 4 * np.sqrt(share * (1 - share) * len(rows))


def test_a_domain_is_read_to_its_end_before_it_starts_again() -> None:
    length = RECIPE.context + 1
    numbered = {d: np.arange(20 * length, dtype=np.uint16) for d in "ab"}
    whole = {tuple(chunk) for chunk in numbered["a"].reshape(-1, length).tolist()}
    recipe = replace(RECIPE, mixtures={"mostly-a": {"a": 1.0, "b": 0.0}}, checkpoints=(16,))
    rows = [tuple(row) for batch in batches(recipe, RUN, numbered, 0) for row in batch.tolist()]
    for epoch in range(0, len(rows) - 19, 20):
        assert set(rows[epoch : epoch + 20]) == whole


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[int, float]]]:
    """A run from first to last step: its folder, and what it reported."""
    folder, said = tmp_path_factory.mktemp("trained"), []
    train(RECIPE, RUN, STREAMS, folder, lambda step, loss: said.append((step, loss)))
    return folder, said


def test_the_loss_falls(trained: tuple[Path, list[tuple[int, float]]]) -> None:
    """From that of guessing to below what the shares of domains and tokens alone could give."""
    _, said = trained
    assert [step for step, _ in said] == list(range(16, RECIPE.steps + 1, 16))
    shares = np.array(list(RECIPE.mixtures[RUN.mixture].values()))
    without_context = np.log(HALF) - (shares * np.log(shares)).sum()
    assert said[0][1] > said[-1][1]
    assert said[-1][1] < without_context - 0.1


def test_a_checkpoint_is_the_language_model_of_its_step(trained: tuple[Path, list[tuple[int, float]]]) -> None:
    folder, said = trained
    kept = sorted(p.name for p in (folder / RUN.name).iterdir())
    assert kept == ["last.safetensors", *(checkpoint_path(folder, RUN, s).name for s in RECIPE.checkpoints)]
    tokens = np.concatenate(list(batches(RECIPE, RUN, STREAMS, RECIPE.steps - 16)))
    losses = []
    for step in RECIPE.checkpoints:
        model = load_decoder(RECIPE, RUN, checkpoint_path(folder, RUN, step))
        logits = jax.jit(lambda m, t: m.hidden_states(t) @ m.head)(model, tokens[:, :-1])
        losses.append(float(optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:]).mean()))
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < said[-1][1]  # the last model, on the batches on which it became what it is


def test_a_finished_run_is_left_as_it_is(trained: tuple[Path, list[tuple[int, float]]]) -> None:
    folder, _ = trained
    before = {p: p.stat().st_mtime_ns for p in (folder / RUN.name).iterdir()}
    train(RECIPE, RUN, STREAMS, folder, lambda step, loss: pytest.fail("trained again"))
    assert {p: p.stat().st_mtime_ns for p in (folder / RUN.name).iterdir()} == before


def test_checkpoints_that_would_be_skipped_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"multiples of 16 steps, found \[40\]"):
        train(replace(RECIPE, checkpoints=(32, 40)), RUN, STREAMS, tmp_path)


def test_divergence_is_said(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match="mostly-a-small diverged before step 16"):
        train(replace(RECIPE, learning_rate=1e38), RUN, STREAMS, tmp_path)


WORKER = """
import pickle, sys
from pathlib import Path
from csvjax.ladder.train import train
recipe, run, streams = pickle.loads(Path(sys.argv[1]).read_bytes())
train(recipe, run, streams, Path(sys.argv[2]), lambda step, loss: print(step, flush=True))
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (folder / RUN.name).iterdir()}


def test_a_killed_run_ends_in_the_same_bytes(tmp_path: Path) -> None:
    """Killed at random moments of a run that saves all the time, so that kills may fall between or within its saves."""
    recipe = replace(RECIPE, checkpoints=tuple(range(16, 1601, 16)))
    job, alone, killed = tmp_path / "job", tmp_path / "alone", tmp_path / "killed"
    job.write_bytes(pickle.dumps((recipe, RUN, STREAMS)))
    # The workers compile once between them, which is most of what each would do.
    cache = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    # One thread adds in one order, however busy the machine is.
    cache |= {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}

    def start(folder: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", WORKER, job, folder]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **cache})

    with start(alone) as worker:
        worker.communicate()
    assert worker.returncode == 0
    rng = np.random.default_rng(0)
    for _ in range(3):
        with start(killed) as worker:
            assert worker.stdout
            for _ in range(rng.integers(1, 25)):
                worker.stdout.readline()
            time.sleep(rng.uniform(0.0, 0.02))
            worker.kill()
        assert worker.returncode == -signal.SIGKILL
    assert 0 < len(contents(killed)) < len(contents(alone))
    with start(killed) as worker:
        output, _ = worker.communicate()
    assert worker.returncode == 0
    assert int(output.split()[0]) > 16  # it went on, and did not begin again
    assert contents(killed) == contents(alone)
