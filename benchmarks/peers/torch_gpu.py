"""PyTorch's tokens/s for each row of `benchmarks.gpu_shapes`: `transformers` with sdpa attention, then compiled.

    python -m benchmarks.peers.torch_gpu [--tiny] SECONDS

The loss is `cross_entropy` over the logits as they come. Compiling begins while less than SECONDS have passed.
"""

import dataclasses
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from benchmarks.gpu_shapes import CONFIGS, ROWS, Row, tiny

TINY = "--tiny" in sys.argv
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def tell(kind: str, **values: Any) -> None:
    print(json.dumps({"kind": kind} | values), flush=True)


def wait() -> None:
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def seconds(run: Callable[[], object], total: float) -> float:
    run()
    wait()
    times: list[float] = []
    while len(times) < 3 or (sum(times) < total and len(times) < 50):
        start = time.perf_counter()
        run()
        wait()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


def measure(row: Row, compiled: bool) -> None:
    family, values = CONFIGS[row.model]
    config = AutoConfig.for_model(family, **(tiny(values) if TINY else values))
    torch.manual_seed(0)
    with torch.device(DEVICE):
        model = AutoModelForCausalLM.from_config(
            config, dtype=getattr(torch, row.dtype), attn_implementation="sdpa"
        ).eval()
        tokens = torch.randint(0, config.vocab_size, (row.batch, row.length + 1))

    def losses() -> torch.Tensor:
        logits = model(tokens[:, :-1], use_cache=False).logits
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")

    run = torch.compile(losses, dynamic=False) if compiled else losses
    start = time.perf_counter()
    with torch.inference_mode():
        if DEVICE == "cuda":
            torch.cuda.reset_peak_memory_stats()
        mean = float(run().float().mean())
        first = time.perf_counter() - start
        taken = seconds(run, 1.0)
    tell(
        "torch",
        name=row.name,
        compiled=compiled,
        tokens_per_second=row.batch * row.length / taken,
        first_call=first,
        peak_bytes=torch.cuda.max_memory_allocated() if DEVICE == "cuda" else 0,
        mean_loss=mean,
    )


def main() -> None:
    begin = time.perf_counter()
    tell("torch_device", name=torch.cuda.get_device_name() if DEVICE == "cuda" else "cpu", torch=torch.__version__)
    rows = [dataclasses.replace(r, batch=min(r.batch, 2), length=r.length // 32) for r in ROWS] if TINY else ROWS
    for compiled in (False, True):
        for row in rows:
            if compiled and (time.perf_counter() - begin > float(sys.argv[-1]) or row.dtype == "float32"):
                continue
            try:
                measure(row, compiled)
            except Exception as error:
                tell("failed", name=f"torch {row.name}", error=f"{type(error).__name__}: {error}"[:800])
            if DEVICE == "cuda":
                torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
