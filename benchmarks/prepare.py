"""Preparation of a text on one core, and how full the batches are that are cut from it.

    python -m benchmarks.prepare
    python -m benchmarks.prepare --text FOLDER_OR_FILE --tokenizer tokenizer.json

Without a text it is the documentation and licences of the installed packages and of Python, or with --kind code the
sources of Python; without a tokenizer, byte-level BPE of 50,000 tokens in the way of GPT-2, learnt from part of it.
The process keeps to one core, and so do the tokenizer's threads.

Figures (last line), tokens per CPU second, the best of the rounds: prepare_tokens_per_s, `encode_text` and `open_store`
of a new store, one after the other, which is all that is done to a text before the first batch; encode_tokens_per_s and
store_tokens_per_s, each of them; rest_tokens_per_s, both but for the time inside the tokenizer of Hugging Face;
known_tokens_per_s, `open_store` of a store that is there; tokenizer_tokens_per_s, that tokenizer alone on whole
documents (`encode_batch_fast`), for comparison. batch_fill: share of rows that hold a window, of batches of 65,536
tokens with chunks of 16,384, windows of 1,024 and a stride of 512.

Measured (one of two cores, which other work kept busy, so that the same program differs by up to a quarter between
runs; two runs of each, in turn; 1.38 million tokens of prose, 1.59 million of code):

    figure                   asked for      prose               code
    prepare_tokens_per_s     >= 1 M         0.75 to 0.91 M      1.06 to 1.19 M
    encode_tokens_per_s                     0.91 to 1.11 M      1.34 to 1.57 M
    store_tokens_per_s                      4.8 to 5.2 M        5.0 to 5.3 M
    rest_tokens_per_s                       1.12 to 1.22 M      1.45 to 1.61 M
    known_tokens_per_s                      9.5 to 9.9 M        10.3 to 11.0 M
    tokenizer_tokens_per_s                  0.52 to 0.65 M      0.61 to 0.71 M
    batch_fill               >= 0.97        0.994               0.989

What each step gave, in prepare_tokens_per_s of code (of prose): string by string 0.057 M; each different word once, and
columns in bulk 0.69 M (0.59 to 0.66 M); zstd at level 3 in place of 9, which is also smaller, 1.03 M (0.86 M); words
cut at borders that are found in bulk 1.06 to 1.19 M (0.75 to 0.91 M). Batches cut chunk by chunk were half full.

What falls short is prose. The tokenizer alone, on whole documents, is slower than was asked for, and a third of the
time that is left is the tokenizer on words that are all different.
"""

from __future__ import annotations

import json
import os
import shutil
import sysconfig
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import typer

os.environ["RAYON_NUM_THREADS"] = "1"  # before the tokenizer starts its threads

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from csvjax.losses import store as stores
from csvjax.losses.batches import choose_shapes, cut_batches
from csvjax.losses.schedule import group_chunks
from csvjax.losses.text import Document, read_text
from csvjax.losses.units import EncodedText, encode_text
from csvjax.losses.windows import list_windows

CONTEXT, STRIDE, BATCH, CHUNK = 1024, 512, 65_536, 16_384


def installed(kind: str, most: int) -> list[Document]:
    """Text that is on every machine with this environment, each content once, up to so many bytes."""
    library = Path(sysconfig.get_paths()["stdlib"])
    places = [library] if kind == "code" else [library, Path(sysconfig.get_paths()["purelib"])]
    kinds = {".py"} if kind == "code" else {".md", ".rst", ".txt"}
    found: dict[str, Document] = {}
    size = 0
    files = {file: str(file.relative_to(place)) for place in places for file in place.rglob("*") if wanted(file, kinds)}
    for path, name in sorted(files.items()):
        text = path.read_text(encoding="utf-8", errors="replace")
        if size < most and text not in found:
            found[text] = Document(kind, name, text)
            size += len(text)
    return list(found.values())


def wanted(file: Path, kinds: set[str]) -> bool:
    return (file.suffix in kinds or file.name.startswith("LICENSE")) and file.is_file() and file.stat().st_size > 1000


def learnt(texts: Sequence[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=50_000, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of the process: on one core, those of the clock where nothing else runs."""
    start = time.process_time()
    found = work()
    return time.process_time() - start, found


class Timed:
    """A tokenizer that keeps the seconds of its encoding."""

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer, self.took = tokenizer, 0.0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.tokenizer, name)
        return partial(self._timed, found) if name.startswith("encode") else found

    def _timed(self, work: Callable[..., Any], *of: Any, **more: Any) -> Any:
        took, found = seconds(partial(work, *of, **more))
        self.took += took
        return found


def fill(text: EncodedText) -> float:
    """Share of rows that hold a window; the first token of each document is scored after token 0."""
    windows, count = list_windows([len(ids) for ids in text.ids], CONTEXT, STRIDE)
    bounds = np.append(np.arange(0, count, CHUNK), count)
    shapes = choose_shapes(windows[:, 2], CONTEXT, BATCH)
    held = rows = 0
    for group in group_chunks(bounds, np.arange(len(bounds) - 1), BATCH):
        for batch in cut_batches(text.ids, windows, 0, (group.start, group.end), shapes):
            held += len(batch.rows)
            rows += len(batch.tokens)
    return held / rows


def main(
    text: list[str] | None = None,
    tokenizer: Path | None = None,
    kind: str = "prose",
    megabytes: int = 6,
    rounds: int = 3,
) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    documents = list(read_text(text)) if text else installed(kind, megabytes * 10**6)
    contents = [document.text for document in documents]
    known = Tokenizer.from_file(str(tokenizer)) if tokenizer else learnt(contents[::3])
    times: dict[str, list[float]] = {name: [] for name in ("prepare", "encode", "store", "rest", "known", "tokenizer")}
    with tempfile.TemporaryDirectory() as temporary:
        for i in range(rounds):
            path = Path(temporary) / f"{i}.zarr"

            timed: Any = Timed(known)
            took, encoded = seconds(partial(encode_text, documents, timed))
            begin = partial(stores.open_store, path, {"m": {"context": CONTEXT}}, encoded, True, CHUNK)
            times["encode"].append(took)
            times["store"].append(seconds(begin)[0])
            times["prepare"].append(times["encode"][-1] + times["store"][-1])
            times["rest"].append(times["prepare"][-1] - timed.took)
            times["known"].append(seconds(begin)[0])
            times["tokenizer"].append(seconds(lambda: known.encode_batch_fast(contents, add_special_tokens=False))[0])
            shutil.rmtree(path)
    tokens = len(encoded.units)
    found: dict[str, Any] = {"tokens": tokens, "bytes_per_token": int(encoded.units["bytes"].sum()) / tokens}
    found |= {f"{name}_tokens_per_s": tokens / min(took) for name, took in times.items()}
    print(json.dumps(found | {"batch_fill": fill(encoded)}))


if __name__ == "__main__":
    typer.run(main)
