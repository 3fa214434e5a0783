"""A small whole input of each form that csvjax reads, for `experiments.mutations` to damage."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from typing import Any

import pandas as pd

__all__ = ["Files", "seeds"]

Files = dict[str, bytes]
"""Relative paths and contents. The first one is read, or the folder if there are several."""

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


_INSPECT = {
    "version": 2,
    "status": "success",
    "eval": {"task": "gpqa", "model": "org/a", "config": {"epochs": 1}},
    "results": {
        "completed_samples": 20,
        "scores": [{"name": "choice", "metrics": {"accuracy": {"value": 0.5}, "stderr": {"value": 0.1}}}],
    },
}
_AIDER = "- model: a\n  edit_format: diff\n  test_cases: 225\n  pass_rate_1: 20.1\n  pass_rate_2: 30.2\n"
_EPOCH = (
    "Model version,mean_score,Best score (across scorers),Training compute (FLOP),stderr,Started at,id\n"
    "a,0.4,0.41,1e24,0.03,2025-01-01,x\nb,0.5,0.51,,0.03,2025-01-02,y\n"
)
_OPEN_LM = {"name": "x", "eval_metrics": {"icl": {"arc_easy": 0.34, "boolq": 0.49}}}
_OPEN_LM_MODEL = {"name": "m", "dataset_name": "c4", "hyperparameters": {"tokens": 2000, "params": 400}}
_WANDB = "_step,_runtime,train/loss,eval/x_acc\n1,1,3.1,\n2,2,2.9,0.31\n3,3,2.8,0.35\n"
_CHART = "Step,a - x/acc,a - x/acc__MIN,a - x/acc__MAX\n0,0.25,0.25,0.25\n9,0.4,0.4,0.4\n"
_SPANS = (
    "<table><tr><th rowspan=2>Model<th colspan=2>MMLU</tr><tr><th>0-shot<th>5-shot</tr>"
    "<tr><td>a<td rowspan=2>30.1<td>33</tr><tr><td>b<td>50</tr></table>"
)
_AMOUNTS = "Results,,\nModel,Size,x\na,7B,30.1 ± 1.2\nb,~1.5 B,40.2*\nc,350M,-\nMean,,35\n"
_SAMPLES = [
    {
        "doc_id": i,
        "target": i % 2,
        "filtered_resps": [[-1.5, False], [-2.5, True]],
        "acc": float(i % 2),
        "filter": "none",
    }
    for i in range(5)
]


def _packed(log: Any) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps(log))
    return file.getvalue()


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
        "inspect": {"log.json": _json(_INSPECT)},
        "inspect packed": {"log.eval": _packed(_INSPECT)},
        "aider": {"polyglot_leaderboard.yml": _AIDER.encode()},
        "epoch": {"gpqa_diamond.csv": _EPOCH.encode()},
        "open_lm": {"evals/evaluation_m_heavy.json": _json(_OPEN_LM), "models/m.json": _json(_OPEN_LM_MODEL)},
        "wandb": {"run.csv": _WANDB.encode()},
        "wandb chart": {"chart.csv": _CHART.encode()},
        "nested": {"t.json": _json([{"model": {"name": f"m{i}"}, "scores": {"x": {"acc": i / 9}}} for i in range(6)])},
        "objects": {"t.json": _json({"mmlu": {"a": 0.5, "b": 0.6}, "arc": {"a": 0.4, "b": 0.5}})},
        "columns beside rows": {"t.json": _json({"columns": ["model", "x"], "data": [["a", 0.5], ["b", 0.6]]})},
        "spans": {"t.html": _SPANS.encode()},
        "amounts": {"t.csv": _AMOUNTS.encode()},
        "details": {
            "details/org/m/D/details_x|y|0_2024-05-01T10-00-00.parquet": _written(
                pd.DataFrame({"metrics": [{"acc": 1.0}, {"acc": 0.0}]}), "to_parquet"
            ),
            "details/org/n/D/none.txt": b"-",
        },
        "samples": {"org__m/samples_x.jsonl": b"\n".join(map(_json, _SAMPLES)), "org__m/none.txt": b"-"},
    }
