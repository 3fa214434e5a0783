"""The table of `benchmarks.extraction --device gpu`: peers in processes of their own, one after the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.gpu_shapes import ROWS
from csvjax.atomic import replacing

ROOT = Path(__file__).parent.parent


def lines(module: str, arguments: Iterable[str], stop: float) -> Iterator[dict[str, Any]]:
    """What a peer says, until it ends or the clock passes `stop`."""
    command = [sys.executable, "-m", module, *arguments]
    with tempfile.TemporaryFile("w+") as errors:
        peer = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT)
        assert peer.stdout is not None
        timer = threading.Timer(max(0.0, stop - time.monotonic()), peer.kill)
        timer.start()
        try:
            yield from (json.loads(line) for line in peer.stdout if line.startswith('{"kind"'))
        finally:
            timer.cancel()
            peer.kill()
            code = peer.wait()
        if code:
            errors.seek(0)
            why = "its time ran out" if time.monotonic() >= stop else errors.read()[-1500:]
            yield {"kind": "failed", "name": module, "error": why}


def table(found: list[dict[str, Any]]) -> str:
    ours = {one["name"]: one for one in found if one["kind"] == "row"}
    theirs: dict[str, float] = {}
    for one in found:
        if one["kind"] == "torch":
            theirs[one["name"]] = max(theirs.get(one["name"], 0.0), one["tokens_per_second"])
    apart = {one["name"]: one["largest"] for one in found if one["kind"] == "difference"}
    top = max((one["flops"] for one in found if one["kind"] == "matmul"), default=float("nan"))
    before = {row.name: row.before for row in ROWS}
    text = [
        f"bfloat16 8192^3 product: {top / 1e12:.0f} TFLOP/s. (h): PyTorch measured before, on an H200.",
        f"{'row':32}{'csvjax':>9}{'TFLOP/s':>9}{'share':>7}{'PyTorch':>11}{'ratio':>7}{'before':>9}"
        f"{'first s':>9}{'GiB':>7}{'apart':>9}  fused",
    ]
    for name, one in ours.items():
        peer = theirs.get(name) or before.get(name, (0.0, 0.0))[0]
        mark = "" if name in theirs else " (h)"
        ratio = one["tokens_per_second"] / peer if peer else float("nan")
        text.append(
            f"{name:32}{one['tokens_per_second'] / 1e3:8.1f}k{one['flops'] / 1e12:9.1f}{one['flops'] / top:7.2f}"
            f"{f'{peer / 1e3:.1f}k{mark}':>11}{ratio:7.2f}{before.get(name, (0.0, 0.0))[1] / 1e3:8.1f}k"
            f"{one['first_call']:9.1f}{one['peak_bytes'] / 2**30:7.2f}{apart.get(name, float('nan')):9.4f}"
            f"  {' '.join(one['fused']) or 'no'}"
        )
    return "\n".join(text)


def run(out: Path, quick: bool, choices: bool, limit: float = 290.0) -> None:
    """Measure, say each figure as soon as it is there, and keep all of them in `out`/extraction_gpu.json."""
    start = time.monotonic()
    out = Path(os.environ.get("OUT", out))
    out.mkdir(parents=True, exist_ok=True)
    found: list[dict[str, Any]] = []
    tiny = ["--tiny"] if quick else []
    torch_rows = 60.0 if quick else 110.0
    share = limit if choices else limit - torch_rows
    for module, arguments, end in (
        ("benchmarks.peers.flax_gpu", [*tiny, *(["--choices"] if choices else [])], share),
        ("benchmarks.peers.torch_gpu", [*tiny, str(torch_rows * 0.6)], limit + (torch_rows if choices else 0)),
    ):
        for one in lines(module, arguments, start + end):
            found.append(one | {"at": round(time.monotonic() - start, 1)})
            print(json.dumps(found[-1]), flush=True)
            with replacing(out / "extraction_gpu.json") as part:
                part.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(table(found), flush=True)
