"""Losses of a checkpoint: speed and memory against PyTorch, and against this machine's own matrix products.

    python -m benchmarks.extraction --out runs/extraction
    python -m benchmarks.extraction --quick --out runs/quick
    python -m benchmarks.extraction --only torch        or --only curves
    python -m benchmarks.extraction --device gpu [--choices]

The peer is the forward pass of PyTorch `transformers` (its default attention) with cross-entropy, in an environment
of its own (`benchmarks/torch_environment.py`). Both read one random checkpoint, in float32, and 4 rows of 512 tokens,
each in a process of its own; rounds are run in turn, so that whatever slows the machine slows both. Their mean losses
agree to 1e-4, or the benchmark stops.

Figures (last line): speedup_torch_gpt2 and speedup_torch_pythia, median over rounds of PyTorch's time by ours, on the
shapes of GPT-2 small and of Pythia-160m; memory_ratio, the larger of the two ratios of our peak of resident memory to
PyTorch's, from the start of the process; matmul_share, the smaller of two shares, FLOP/s of the whole pass by that of
the fastest plain product of an inner shape. Then tokens/s over forced devices and over contexts, and the exponents of
the time in tokens and in parameters (1 is linear).

Measured (2 cores, no other load, 6 rounds):

    figure                   asked for      measured
    speedup_torch_gpt2       >= 1.2          1.24    (best by best 1.28)
    speedup_torch_pythia     >= 1.2          1.04    (see below)
    memory_ratio             <= 0.6          0.590   (the larger one, of Pythia)
    matmul_share             >= 0.7          0.757   (the smaller one)
    tokens/s, 1, 2, 4, 8 devices             1657, 1591, 1654, 1556    (6 layers, width 512; two cores all the same)
    tokens/s, context 256, 512, ... 4,096    1517, 1515, 1400, 1194, 919
    exponent in tokens       1               1.05
    exponent in parameters   1               1.15

A run just before, with the products of query, key and value joined but free to be copied early, gave 1.34, 1.09, 0.606
and 0.739, and the curves above; with three products apart two runs had given 1.18 and 1.23, 1.08 and 1.06, 0.575 and
0.594. On a machine shared with other work the speed ratios came out as 1.50 and 1.08, then 1.93 and 1.41 (3 rounds
each): they say little.

Found by profiling (Pythia, `jax.profiler`): 85 % of the time are matrix products: 39 % are the products with 768
columns (query, key, value, out, down: some 150 GFLOP/s), 20 % the head, 15 % the up projection (some 190 GFLOP/s), 9
% the products of attention; masks, copies of heads and softmax take about 9 %, norms and residuals 2 %. Blocks of
queries that stop at their own end do three quarters of the square at 512 tokens. The head in blocks of 512 tokens and
the whole vocabulary ran at 60 GFLOP/s where blocks of 2,048 tokens and 4,096 words ran at 93 (one run, in turn); rows
of the head as the left factor, or copied into columns first, were no faster. Memory: a map of safetensors that stays
open keeps what it has read, and the largest tensors read last are held twice at the peak; opening the file anew for
each tensor and reading the largest first brought Pythia from 0.84 to 0.58.

What falls short. Pythia, at 1.04 to 1.09: ours runs at 76 % of the fastest plain product, PyTorch at 73 % (the ratio).

On a GPU (`--device gpu`, five minutes at most, no network): the rows of `benchmarks.gpu_shapes` with tokens/s, model
FLOP/s and its share of the measured bfloat16 product of 8192^3, seconds to compile and run once, memory as XLA plans
it, and how far losses with the fused kernel are from those with blocks. Weights are drawn on the device. Each figure is
said and written to `$OUT/extraction_gpu.json` (without OUT, to `--out`) as soon as it is there. It needs jax with CUDA
and csvjax's own dependencies (flax, transformers, safetensors, tokenizers, typer and so on), which the interpreter must
be able to import; PyTorch with CUDA too, or the table compares with figures of an H200. `--choices` goes on to other
sizes of head blocks, options of XLA, and a profile, and may take two minutes more. `--quick`: almost empty models, to
try it without a GPU.

Measured on one H200 (jax 0.11.2, PyTorch 2.11, the same shapes; bfloat16 product of 8192^3: 660 TFLOP/s; share: of
that product; ratio: to the best of PyTorch with sdpa attention and PyTorch compiled; before: csvjax with unrolled
blocks of queries; peak: device memory as XLA plans it, PyTorch took 3.3 to 13 GiB):

    row                            csvjax     TFLOP/s  share   PyTorch   ratio   before   first call   peak
    llama-1.2b bfloat16 8x2048     206 k/s    536      0.81    182 k/s   1.13    116 k    4.2 s        5.1 GiB
    llama-1.2b bfloat16 2x8192     174 k/s    523      0.79    144 k/s   1.21    53 k     2.0 s        5.1 GiB
    llama-1.2b bfloat16 1x2048     181 k/s    471      0.71    143 k/s   1.26    81 k     3.9 s        3.3 GiB
    gpt2 bfloat16 64x1024          1,364 k/s  363      0.55    1,352 k/s 1.01    726 k    3.9 s        3.6 GiB
    pythia-160m bfloat16 64x1024   1,273 k/s  339      0.51    1,320 k/s 0.96    685 k    4.1 s        3.6 GiB
    gpt2 float32 32x1024           156 k/s    41       0.06    151 k/s   1.03    151 k    38 s         3.8 GiB
    llama-1.2b float32 8x1024      18.7 k/s   47       0.07    16.4 k/s  1.14    18.4 k   41 s         6.7 GiB

Every bfloat16 row runs in cuDNN's fused attention. PyTorch was compiled for the first, fourth and fifth row alone
before its time ran out; the second and third stand against its sdpa attention. Asked were a ratio of 1.1 on every
bfloat16 row: the two small models fall short of it, at PyTorch's own speed. Losses of the Llama row with the fused
kernel and with blocks differ by 0.025 nats on average and by 0.12 at most, which is bfloat16's own rounding; single
attention calls agree to 0.0095. Not measured: the choices, the command against the inner program, and a start from
weights on disk.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import typer

from benchmarks import gpu_table
from benchmarks.torch_environment import torch_python
from csvjax.atomic import replacing

ROOT = Path(__file__).parent.parent
PEER = ROOT / "benchmarks" / "peers" / "torch_forward.py"


class Worker:
    """A process that answers a line to each line."""

    def __init__(self, command: list[str], **environment: str):
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
            raise RuntimeError(f"{self.process.args!r} ended with {self.process.wait()}")
        return line

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.strip() + "\n")
        self.process.stdin.flush()

    def ask(self, line: str) -> str:
        self.tell(line)
        return self.answer()


@contextmanager
def running(one: Worker) -> Iterator[Worker]:
    try:
        yield one
    finally:
        one.process.kill()
        one.process.wait()


def ours(folder: Path, batch: int, length: int, devices: int = 1) -> Worker:
    command = [sys.executable, "-m", "benchmarks.peers.flax_forward", folder, batch, length, devices]
    flags = f"--xla_force_host_platform_device_count={devices}"
    return Worker(list(map(str, command)), XLA_FLAGS=flags, JAX_PLATFORMS="cpu")


def against_torch(kind: str, batch: int, length: int, rounds: int, folder: Path) -> dict[str, Any]:
    """Rounds in turn, so that whatever slows the machine slows both."""
    python = str(torch_python())
    checkpoint = make(kind, folder)
    with (
        running(Worker([python, str(PEER), "serve", str(checkpoint), str(batch), str(length)])) as theirs,
        running(ours(checkpoint, batch, length)) as mine,
    ):
        tokens, flops = theirs.answer(), float(mine.answer())
        mine.tell(tokens)
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


def make(kind: str, folder: Path) -> Path:
    """A random checkpoint of this shape."""
    checkpoint = folder / kind
    if not checkpoint.exists():
        command = [str(torch_python()), str(PEER), "make", kind, str(checkpoint)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return checkpoint


def seconds(checkpoint: Path, batch: int, length: int, devices: int, rounds: int) -> float:
    """The best time of a batch."""
    tokens = np.random.default_rng(0).integers(0, 50_000, (batch, length + 1))
    with running(ours(checkpoint, batch, length, devices)) as mine:
        mine.answer()
        mine.tell(json.dumps(tokens.tolist()))
        return min(float(mine.ask("run")) for _ in range(rounds + 1))


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """The exponent a of y ~ x^a by least squares; 1 is linear."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def curves(folder: Path, rounds: int, quick: bool) -> dict[str, Any]:
    """Tokens/s over devices and over context, and exponents of the time in tokens and in parameters."""
    small = make("pythia-6-512", folder)
    devices = {n: 2048 / seconds(small, 8, 256, n, rounds) for n in ((1, 8) if quick else (1, 2, 4, 8))}
    lengths = (256, 1024) if quick else (256, 512, 1024, 2048, 4096)
    context = {n: 4096 / seconds(small, 4096 // n, n, 1, rounds) for n in lengths}
    batches = (2, 8) if quick else (2, 4, 8, 16)
    tokens = [seconds(small, n, 256, 1, rounds) for n in batches]
    layers = (2, 12) if quick else (2, 6, 12, 24)
    params = [12 * n * 512**2 + 50304 * 512 for n in layers]
    depth = [seconds(make(f"pythia-{n}-512", folder), 8, 256, 1, rounds) for n in layers]
    return {
        "tokens_per_second_by_devices": devices,
        "tokens_per_second_by_context": context,
        "exponent_in_tokens": slope(batches, tokens),
        "exponent_in_params": slope(params, depth),
    }


def main(
    out: Path = Path("runs/extraction"),
    quick: bool = False,
    only: str = "",
    device: str = "cpu",
    choices: bool = False,
) -> None:
    if device not in ("cpu", "gpu"):
        raise typer.BadParameter("cpu or gpu")
    if device == "gpu":
        gpu_table.run(out, quick, choices)
        return
    if only not in ("", "torch", "curves"):
        raise typer.BadParameter("torch or curves")
    rounds = 3 if quick else 6
    found: dict[str, Any] = {"quick": quick}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if only != "curves":
            each = {kind: against_torch(kind, 4, 512, rounds, folder) for kind in ("gpt2", "pythia")}
            found |= {f"speedup_torch_{kind}": one["speedup"] for kind, one in each.items()}
            found["memory_ratio"] = max(one["memory_ratio"] for one in each.values())
            found["matmul_share"] = min(one["matmul_share"] for one in each.values())
            found["torch"] = each
        if only != "torch":
            found |= curves(folder, 2, quick)
    out.mkdir(parents=True, exist_ok=True)
    with replacing(out / "result.json") as part:
        part.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(json.dumps(found))


if __name__ == "__main__":
    typer.run(main)
