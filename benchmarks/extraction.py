"""TODO docstring."""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
PEER = ROOT / "benchmarks" / "peers" / "torch_forward.py"


class Worker:
    """A process that answers a line to each line."""

    def __init__(self, command: Sequence[str], **environment: str):
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env=os.environ | environment,
        )

    def answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args} ended with {self.process.wait()}")
        return line

    def ask(self, line: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.answer()


@contextmanager
def worker(command: Sequence[str], **environment: str) -> Iterator[Worker]:
    one = Worker(command, **environment)
    try:
        yield one
    finally:
        one.process.kill()
        one.process.wait()


def ours(folder: Path, batch: int, length: int, devices: int = 1) -> list[str]:
    return [
        sys.executable,
        "-m",
        "benchmarks.extraction",
        "--serve",
        str(folder),
        str(batch),
        str(length),
        str(devices),
    ]


def serve(folder: Path, batch: int, length: int, devices: int) -> None:
    """Answer `run` with seconds, `matmul` with the GFLOP/s of plain products, `peak` with bytes and the mean loss."""
    import jax
    import jax.numpy as jnp

    from csvjax.lms.checkpoint import read_config
    from csvjax.lms.devices import make_mesh, place_batch, place_weights
    from csvjax.lms.families import make_architecture
    from csvjax.lms.fill import fill
    from csvjax.lms.tensors import SafeTensors, find_weights
    from csvjax.losses.nll import scorer

    assert jax.device_count() == devices
    mesh = make_mesh()
    shape = make_architecture(read_config(folder))
    model = fill(shape, SafeTensors(find_weights(folder)), jnp.float32, place_weights(mesh))
    score, place = scorer(model), place_batch(mesh)
    flops = 2 * batch * length * (shape.params + shape.head_params)
    flops += 2 * batch * length**2 * shape.heads * shape.head_width * len(shape.layers)  # the half that is seen
    print(flops, flush=True)
    tokens = np.asarray(json.loads(sys.stdin.readline()), np.int32)
    mean = 0.0
    for line in sys.stdin:
        if line.strip() == "run":
            start = time.perf_counter()
            losses = np.asarray(score(place(tokens[:, :-1]), place(tokens[:, 1:])))
            print(time.perf_counter() - start, flush=True)
            mean = float(losses.mean())
        elif line.strip() == "matmul":
            print(
                max(plain(batch * length, k, n) for k, n in ((shape.width, shape.hidden), (shape.hidden, shape.width)))
            )
            sys.stdout.flush()
        else:
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, mean, flush=True)


def plain(m: int, k: int, n: int, rounds: int = 3) -> float:
    """FLOP/s of one product [m, k] @ [k, n], the best of some."""
    import jax
    import jax.numpy as jnp

    key = jax.random.key(0)
    a, b = jax.random.normal(key, (m, k)), jax.random.normal(key, (k, n))
    product: Callable[..., jax.Array] = jax.jit(jnp.matmul)
    product(a, b).block_until_ready()
    best = np.inf
    for _ in range(rounds):
        start = time.perf_counter()
        product(a, b).block_until_ready()
        best = min(best, time.perf_counter() - start)
    return 2 * m * k * n / best


def against_torch(kind: str, batch: int, length: int, rounds: int, folder: Path) -> dict[str, Any]:
    """Rounds in turn, so that whatever slows the machine slows both."""
    from benchmarks.torch_environment import torch_python

    python = str(torch_python())
    checkpoint = folder / kind
    subprocess.run([python, str(PEER), "make", kind, str(checkpoint)], check=True, stderr=subprocess.DEVNULL)
    with (
        worker([python, str(PEER), "serve", str(checkpoint), str(batch), str(length)]) as theirs,
        worker(ours(checkpoint, batch, length)) as mine,
    ):
        tokens, flops = theirs.answer(), float(mine.answer())
        mine.process.stdin.write(tokens)  # type: ignore[union-attr]  # it is a pipe
        times = []
        for i in range(rounds + 1):
            pair = float(theirs.ask("run")), float(mine.ask("run"))
            speed = float(mine.ask("matmul"))
            if i:  # the first one compiles
                times.append((*pair, speed))
        (their_peak, their_mean), (peak, mean) = (map(float, process.ask("peak").split()) for process in (theirs, mine))
    table = np.array(times)
    assert abs(mean - their_mean) < 1e-4, (mean, their_mean)
    return {
        "speedup": float(np.median(table[:, 0] / table[:, 1])),
        "speedup_best": float(table[:, 0].min() / table[:, 1].min()),
        "tokens_per_second": batch * length / float(table[:, 1].min()),
        "memory_ratio": peak / their_peak,
        "matmul_share": float(np.median(flops / table[:, 1] / table[:, 2])),
        "gflops": flops / float(table[:, 1].min()) / 1e9,
        "matmul_gflops": float(table[:, 2].max()) / 1e9,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "extraction")
    parser.add_argument("--serve", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        folder, *sizes = given.serve
        serve(Path(folder), *map(int, sizes))
        return
    rounds = 3 if given.quick else 9
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("gpt2", "pythia"):
            print(kind, against_torch(kind, 4, 512, rounds, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
