"""Damaged and hostile inputs through every reader of scores: each gives data, or one sentence with the file.

    python -m experiments.mutations --out runs/mutations
    python -m experiments.mutations --quick --out runs/quick

A seed is a small whole file of each form that csvjax reads: tables (CSV, TSV, parquet, Arrow, Excel, JSON, JSONL,
Markdown, HTML, packed), and results of every evaluation program that it knows. A mutation cuts it, changes bytes,
types, numbers and keys, nests it deeply, encodes it otherwise, or packs a bomb. Counted as a traceback is every
exception that is no `CsvjaxError`, every warning, and every error that does not name the file.

Claim: no traceback in 2,000 mutations, and none takes longer than some seconds, bombs included.

Measured on 2026-11-28 (two cores with other work): 2,007 mutations, no traceback; 1,631 were refused with a sentence.
A million scores in a long table take 2.0 CPU seconds; the slowest case, a million lines of JSON, 8.6; the process had
at most 1,015 MiB.

Last line: mutations, tracebacks, worst_s (CPU seconds of the slowest one), slowest, read_s (CPU seconds for a million
scores), peak_mib (memory of the whole process, some 300 MiB of it libraries), refused, read.
"""

from __future__ import annotations

import copy
import gzip
import io
import itertools
import json
import random
import resource
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer

from csvjax import runs
from csvjax.data.read_scores import read_tables
from csvjax.data.rules import ReadingRules
from csvjax.errors import CsvjaxError
from experiments.mutation_seeds import Files, seeds
from experiments.running import start

_ROWS = 1_000_000

# Mutations of bytes -------------------------------------------------------------------------------------------------


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _flip(data: bytes, rng: random.Random) -> bytes:
    found = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        found[rng.randrange(len(found))] = rng.randrange(256)
    return bytes(found)


def _splice(data: bytes, rng: random.Random) -> bytes:
    at, to = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return data[:to] + data[at:to] * rng.randint(0, 3) + data[to:]


def _insert(data: bytes, rng: random.Random) -> bytes:
    words = (
        b'"',
        b"\x00",
        b"\r",
        b"\n\n",
        b",,,",
        b";",
        b"\xff",
        b"\xef\xbb\xbf",
        "\u202e\u0661".encode(),
        b"'",
        b"|",
        b"\t",
    )
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(words) * rng.randint(1, 4) + data[at:]


def _number(data: bytes, rng: random.Random) -> bytes:
    """Another number, or no number, in the place of one."""
    words = (
        "NaN",
        "inf",
        "-Infinity",
        "1e999",
        "9" * 400,
        "-1",
        "1_0",
        "1,300",
        "0x10",
        "50%",
        "",
        "true",
        "1.2.3",
        "٣",
    )
    places = [
        at for at, byte in enumerate(data) if chr(byte).isdigit() and (at == 0 or not chr(data[at - 1]).isdigit())
    ]
    if not places:
        return _flip(data, rng)
    at = rng.choice(places)
    end = at
    while end < len(data) and chr(data[end]) in "0123456789.":
        end += 1
    return data[:at] + rng.choice(words).encode() + data[end:]


def _encode(data: bytes, rng: random.Random) -> bytes:
    try:
        text = data.decode() + "é"
    except UnicodeDecodeError:
        return data[::-1]
    return text.encode(rng.choice(["latin-1", "utf-16", "utf-16-le", "utf-32", "cp037", "utf-7"]), "replace")


def _pack(data: bytes, rng: random.Random) -> bytes:
    kind = rng.randrange(4)
    if kind == 0:
        return gzip.compress(data)[: -rng.randint(1, 12)]
    return gzip.compress(gzip.compress(data)) if kind == 1 else gzip.compress(data) + (b"junk" if kind == 2 else b"")


def _rows(data: bytes, rng: random.Random) -> bytes:
    """Lines twice, left out, in another order, or one very long."""
    lines = data.split(b"\n")
    kind = rng.randrange(4)
    if kind == 0:
        lines.insert(rng.randrange(len(lines)), rng.choice(lines))
    elif kind == 1:
        lines.pop(rng.randrange(len(lines)))
    elif kind == 2:
        rng.shuffle(lines)
    else:
        lines[rng.randrange(len(lines))] *= 300
    return b"\n".join(lines)


_OF_BYTES = (_cut, _flip, _splice, _insert, _number, _encode, _pack, _rows)


# Mutations of JSON --------------------------------------------------------------------------------------------------

_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 10**400, 1e308, float("nan"), float("inf"), "", "N/A", "x" * 5000, "\ud800", [], {}, [[[]]]),
    *({"a": {"b": 1}}, ["a"], "0.5", 101, 1.5),
)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container with every key of it."""
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def _change(data: bytes, rng: random.Random) -> bytes:
    """Another value, a key less, or a key more."""
    value = json.loads(data)
    container, key = rng.choice(list(_places(value)))
    kind = rng.randrange(5)
    if kind == 0:
        del container[key]
    elif kind == 1 and isinstance(container, dict):
        container[rng.choice(["", "acc,none", "a,b,c", "\n", "é" * 50])] = container.pop(key)
    elif kind == 2 and isinstance(container, list):
        container.extend(copy.deepcopy(container) * 3)
    else:
        container[key] = rng.choice(_VALUES)
    return json.dumps(value).encode("utf-8", "replace")


def _nest(data: bytes, rng: random.Random) -> bytes:
    deep = rng.choice([50, 900, 20_000])
    value = json.dumps(json.loads(data))
    at = value.find(":") + 1
    return (value[:at] + "[" * deep + "1" + "]" * deep + "," * 0 + value[at:]).encode() if rng.random() < 0.5 else (
        "[" * deep + value + "]" * deep
    ).encode()  # fmt: skip


def _twice(data: bytes, rng: random.Random) -> bytes:
    """A key twice in its group."""
    text = data.decode()
    at = text.find("{", rng.randrange(len(text)))
    at = text.find("{") if at < 0 else at
    return (text[: at + 1] + '"results": 1, "results": 2, ' + text[at + 1 :]).encode()


_OF_JSON = (_change, _change, _change, _nest, _twice)


def _gzip_bomb(rows: int) -> bytes:
    """A table of many equal rows, packed piece by piece: the memory that is measured is that of the reader."""
    file = io.BytesIO()
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1) as packed:
        packed.write(b"model,x\n")
        for _ in range(rows >> 10):
            packed.write(b"a,0.5\n" * 1024)
    return file.getvalue()


def _zip_bomb() -> bytes:
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("xl/workbook.xml", "w", force_zip64=True) as part,
    ):
        part.write(b"<a>")
        for _ in range(300):
            part.write(b" " * (1 << 20))
    return file.getvalue()


def _large() -> Iterator[tuple[str, str, Files]]:
    """Bombs, and whole and faulty tables of a million rows."""
    yield "bomb", "gzip", {"bomb.csv.gz": _gzip_bomb(60 << 20)}
    yield "bomb", "gzip of many rows", {"bomb.csv.gz": _gzip_bomb(20 << 20)}
    yield "bomb", "excel", {"bomb.xlsx": _zip_bomb()}
    rows = "".join(f"m{i},0.{i % 997:03}\n" for i in range(_ROWS))
    yield "large", "csv", {"t.csv": f"model,x\n{rows}".encode()}
    yield "large", "csv with a wrong cell at the end", {"t.csv": f"model,x\n{rows}m,oops\n".encode()}
    yield "large", "csv with a short row at the end", {"t.csv": f"model,x\n{rows}m\n".encode()}
    lines = "".join(f'{{"model": "m{i}", "x": 0.{i % 997:03}}}\n' for i in range(_ROWS))
    yield "large", "jsonl", {"t.jsonl": lines.encode()}


def mutate(files: Files, rng: random.Random) -> Files:
    """The files with one to three mutations in one of them."""
    name = rng.choice(list(files))
    data = files[name]
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        change: Callable[[bytes, random.Random], bytes] = rng.choice(_OF_BYTES)
        if name.endswith(".json") and rng.random() < 0.7:
            try:
                json.loads(data)
                data = rng.choice(_OF_JSON)(data, rng)
                continue
            except (ValueError, RecursionError, IndexError, UnicodeDecodeError):
                pass
        data = change(data, rng) if data else data
    return {**files, name: data}


def try_one(files: Files, folder: Path) -> tuple[str, str]:
    """ "read", "refused" or "traceback"; and the error."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    source = folder if len(files) > 1 else folder / next(iter(files))
    try:
        reading = read_tables([source], ReadingRules())
        json.dumps(reading.described.to_json(), allow_nan=False)
        "\n".join(reading.described.lines()).encode("utf-8", "replace")
    except CsvjaxError as error:
        text = str(error)
        named = str(folder) in text or any(name in text for name in files)
        return ("refused" if named else "traceback"), text
    except Exception:  # what is looked for
        return "traceback", traceback.format_exc()
    return "read", ""


def _read_seconds(folder: Path) -> float:
    """CPU seconds for a long table of a million scores: 5,000 models and 200 benchmarks with standard errors."""
    path, rng = folder / "million.csv", random.Random(0)
    with path.open("w") as file:
        file.write("model,benchmark,metric,score,stderr\n")
        for m in range(_ROWS // 200):
            file.writelines(f"org/m{m},b{b},acc,{rng.uniform(0.1, 0.9):.4f},0.0123\n" for b in range(200))
    begun = time.process_time()
    read_tables([path], ReadingRules())
    return time.process_time() - begun


def main(out: Path = Path("runs/mutations"), quick: bool = False, count: int = 2000, seed: int = 0) -> None:
    """Mutations of every seed in turn, and bombs."""
    count = 200 if quick else count
    place = runs.check_out(out)
    place.mkdir(parents=True, exist_ok=True)
    config = {"format": runs.FORMAT, "command": "mutations", "seed": seed, "count": count}
    runs.write_json(config, place / "config.json")
    rng = random.Random(seed)
    whole = seeds()
    tally = {"read": 0, "refused": 0, "traceback": 0}
    worst, slowest, failures = 0.0, "", []
    kinds = list(whole)
    cases: Iterator[tuple[str, str, Files]] = itertools.chain(
        (("whole", name, files) for name, files in whole.items()),
        (("mutated", kinds[i % len(kinds)], mutate(whole[kinds[i % len(kinds)]], rng)) for i in range(count)),
        _large(),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a warning of a library tells a user nothing that can be acted on
        for number, (how, kind, files) in enumerate(cases):
            with tempfile.TemporaryDirectory() as made:
                begun = time.process_time()
                outcome, told = try_one(files, Path(made))
                took = time.process_time() - begun
            tally[outcome] += 1
            if took > worst:
                worst, slowest = took, f"{number} ({how} {kind})"
            if outcome == "traceback" or (how == "whole" and outcome != "read"):
                failures.append({"case": number, "how": how, "kind": kind, "outcome": outcome, "told": told})
    runs.write_json(failures, place / "failures.json")
    with tempfile.TemporaryDirectory() as made:
        read_s = round(_read_seconds(Path(made)), 2)
    figures = {
        "mutations": sum(tally.values()) - len(whole),
        "tracebacks": tally["traceback"],
        "worst_s": round(worst, 2),
        "slowest": slowest,
        "read_s": read_s,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        "refused": tally["refused"],
        "read": tally["read"],
    }
    runs.write_json(figures, place / "figures.json")
    typer.echo(json.dumps(figures))


if __name__ == "__main__":
    start(main)
