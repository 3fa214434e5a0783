"""Damaged and hostile inputs through every reader of scores: each gives data, or one sentence with the file.

    python -m experiments.mutations --out runs/mutations
    python -m experiments.mutations --quick --out runs/quick

A seed is a small whole file of each form that csvjax reads: tables (CSV, TSV, parquet, Arrow, Excel, JSON, JSONL,
Markdown, HTML, packed), and results of every evaluation program that it knows. A mutation cuts it, changes bytes,
types, numbers and keys, nests it deeply, encodes it otherwise, or packs a bomb. Counted as a traceback is every
exception that is no `CsvjaxError`, every warning, and every error that does not name the file.

Claim: no traceback in 2,000 mutations, and none takes longer than some seconds, bombs included.

Last line: mutations, tracebacks, worst_s (seconds of the slowest one), slowest, refused, read.
"""

from __future__ import annotations

import copy
import gzip
import io
import json
import random
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import typer

from csvjax import runs
from csvjax.data.read_scores import read_tables
from csvjax.data.rules import ReadingRules
from csvjax.errors import CsvjaxError
from experiments.running import start

Files = dict[str, bytes]
"""A seed or a mutation: relative paths and contents. The first one is read, or the folder if there are several."""

_TABLE = pd.DataFrame(
    {
        "model": [f"org/m{i}" for i in range(6)],
        "Params (B)": [0.1, 0.3, 1.0, 3.0, 7.0, 13.0],
        "mmlu": [25.1, 26.2, 31.5, 40.9, 52.3, 60.7],
        "mmlu_stderr": [0.4] * 6,
        "own": [10.5, 20.1, 30.9, 33.3, 47.2, 61.0],
        "note": ["a", "b", "c", "d", "e", "f"],
    }
)
_LONG = pd.DataFrame(
    {
        "lm": ["a", "a", "b", "b"],
        "task": ["x", "y", "x", "y"],
        "metric": "acc",
        "value": [0.1, 0.2, 0.3, 0.4],
        "stderr": 0.01,
        "group": ["", "x", "", "x"],
    }
)
_HARNESS = {
    "results": {
        "mmlu": {"acc,none": 0.5, "acc_stderr,none": 0.01, "alias": "mmlu"},
        "gsm8k": {"exact_match,strict-match": 0.2, "exact_match_stderr,strict-match": "N/A"},
    },
    "group_subtasks": {"mmlu": ["gsm8k"]},
    "n-samples": {"gsm8k": {"original": 1319, "effective": 400}},
    "config": {"model": "hf", "model_args": "pretrained=org/one,dtype=float16", "model_num_parameters": 162322944},
}
_LIGHT = {
    "config_general": {"model_name": "org/x"},
    "results": {"lighteval|arc:easy|25": {"acc": 0.4}, "all": {"acc": 1}},
}
_EVERY = {
    "model_info": {"id": "org/four"},
    "evaluation_results": [
        {
            "evaluation_name": "choice",
            "source_data": {"dataset_name": "arc", "samples_number": 9, "sample_ids": [1]},
            "metric_config": {"lower_is_better": False, "min_score": 0.0, "max_score": 1.0},
            "score_details": {"score": 0.75, "uncertainty": {"standard_error": {"value": 0.2}, "num_samples": 9}},
        }
    ],
}
_PLUS = {
    "eval": {"HumanEval/0": [{"base_status": "pass", "plus_status": "fail"}]},
    "pass_at_k": {"base": {"pass@1": 1}},
}
_PRESS = {"models": [{"id": "a"}], "benchmarks": [{"id": "aime"}, {"id": "b"}], "observed": [[53.5, None]]}
_SPEC = {"name": "mmlu:model=org_a", "adapter_spec": {"model": "org/a"}}
_STATS = [
    {"name": {"name": "exact_match", "split": "test"}, "mean": 0.5},
    {"name": {"name": "num_instances", "split": "test"}, "mean": 500},
]
_SUMMARY = "dataset,version,metric,mode,one,two\ngsm8k,1d,accuracy,gen,65.62,0.80\ndemo,1,accuracy,gen,82.0 (7/8),-\n"
_BOARD = (
    "Precision,Architecture,Weight type,Model,fullname,#Params (B),IFEval Raw,IFEval,BBH Raw,BBH,GPQA Raw,GPQA\n"
    "bf16,A,O,<a href='u'>org/a</a>,org/a,7.2,0.33,33.0,0.36,10.0,0.26,1.2\n"
    "fp16,A,O,<a href='u'>org/a</a>,org/a,-1,0.34,34.0,0.36,10.0,0.26,1.2\n"
)


def _workbook() -> bytes:
    rows = [list(_TABLE.columns), *_TABLE.values.tolist()]
    lines = []
    for r, row in enumerate(rows, 1):
        cells = (f'<c r="{"ABCDEFG"[c]}{r}" t="inlineStr"><is><t>{cell}</t></is></c>' for c, cell in enumerate(row))
        lines.append(f'<row r="{r}">{"".join(cells)}</row>')
    link = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
    parts = {
        "xl/workbook.xml": f'<workbook {link}><sheets><sheet name="s" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": '<R><Relationship Id="rId1" Target="worksheets/sheet1.xml"/></R>',
        "xl/worksheets/sheet1.xml": f"<worksheet><sheetData>{''.join(lines)}</sheetData></worksheet>",
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return file.getvalue()


def _written(frame: pd.DataFrame, how: str) -> bytes:
    file = io.BytesIO()
    getattr(frame, how)(file)
    return file.getvalue()


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def seeds() -> dict[str, Files]:
    """A small whole input of each form."""
    csv = _TABLE.to_csv(index=False)
    semicolons = csv.replace(",", ";").replace(".", ",")
    names, rows = list(_TABLE.columns), _TABLE.astype(str).values.tolist()
    markdown = "\n".join(f"| {' | '.join(row)} |" for row in (names, ["---"] * len(names), *rows))
    html = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in (names, *rows))
    records = _TABLE.to_dict("records")
    return {
        "csv": {"t.csv": csv.encode()},
        "semicolons": {"t.csv": semicolons.encode()},
        "tsv": {"t.tsv": csv.replace(",", "\t").encode("utf-16")},
        "long": {"t.csv": _LONG.to_csv(index=False).encode()},
        "turned": {
            "t.csv": _TABLE.drop(columns="note").set_index("model").T.rename_axis("benchmark").to_csv().encode()
        },
        "gzip": {"t.csv.gz": gzip.compress(csv.encode())},
        "parquet": {"t.parquet": _written(_TABLE, "to_parquet")},
        "arrow": {"t.feather": _written(_TABLE, "to_feather")},
        "excel": {"t.xlsx": _workbook()},
        "json": {"t.json": _json(records)},
        "jsonl": {"t.jsonl": b"\n".join(map(_json, records))},
        "markdown": {"t.md": markdown.encode()},
        "html": {"t.html": f"<table>{html}</table>".encode()},
        "harness": {"results_1.json": _json(_HARNESS)},
        "harness folder": {"one/results_1.json": _json(_HARNESS), "two/results_1.json": _json(_LIGHT)},
        "lighteval": {"results_1.json": _json(_LIGHT)},
        "every_eval": {"e.json": _json(_EVERY)},
        "evalplus": {"x.eval_results.json": _json(_PLUS)},
        "evalplus board": {"results.json": _json({"GPT": {"pass@1": {"humaneval": 88.4}}})},
        "benchpress": {"data.json": _json(_PRESS)},
        "helm": {"run/run_spec.json": _json(_SPEC), "run/stats.json": _json(_STATS)},
        "opencompass": {"summary.csv": _SUMMARY.encode()},
        "leaderboard": {"board.csv": _BOARD.encode()},
    }


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


def _bomb() -> bytes:
    return gzip.compress(b"model,x\n" + b"a,0.5\n" * (60 << 20), 1)


def _zip_bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"<a>" + b" " * (300 << 20))
    return file.getvalue()


def mutate(files: Files, rng: random.Random) -> Files:
    """The files with one to three mutations in one of them."""
    name = rng.choice(list(files))
    data = files[name]
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        change: Callable[[bytes, random.Random], bytes] = rng.choice(_OF_BYTES)
        if name.endswith(".json") and rng.random() < 0.7:
            try:
                json.loads(data)
                change = rng.choice(_OF_JSON)
                data = change(data, rng)
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
    cases = [("whole", name, files) for name, files in whole.items()]
    kinds = list(whole)
    cases += [("mutated", kinds[i % len(kinds)], mutate(whole[kinds[i % len(kinds)]], rng)) for i in range(count)]
    cases += [("bomb", "gzip", {"bomb.csv.gz": _bomb()}), ("bomb", "excel", {"bomb.xlsx": _zip_bomb()})]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a warning of a library tells a user nothing that can be acted on
        for number, (how, kind, files) in enumerate(cases):
            with tempfile.TemporaryDirectory() as made:
                begun = time.perf_counter()
                outcome, told = try_one(files, Path(made))
                took = time.perf_counter() - begun
            tally[outcome] += 1
            if took > worst:
                worst, slowest = took, f"{number} ({how} {kind})"
            if outcome == "traceback" or (how == "whole" and outcome != "read"):
                failures.append({"case": number, "how": how, "kind": kind, "outcome": outcome, "told": told})
    runs.write_json(failures, place / "failures.json")
    figures = {
        "mutations": len(cases) - len(whole),
        "tracebacks": tally["traceback"],
        "worst_s": round(worst, 2),
        "slowest": slowest,
        "refused": tally["refused"],
        "read": tally["read"],
    }
    runs.write_json(figures, place / "figures.json")
    typer.echo(json.dumps(figures))


if __name__ == "__main__":
    start(main)
