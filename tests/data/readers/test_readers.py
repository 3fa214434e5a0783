"""Results of evaluation programs, in small files of the same form."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from csvjax.data.read_scores import Reading, read_scores, read_tables
from csvjax.data.rules import ReadingRules
from csvjax.errors import InputError

NEW = {
    "results": {
        "mmlu": {"acc,none": 0.5, "acc_stderr,none": 0.005, "alias": "mmlu"},
        "mmlu_law": {"alias": " - law", "acc,none": 0.4, "acc_stderr,none": "N/A"},
        "gsm8k": {"exact_match,strict-match": 0.2, "exact_match_stderr,strict-match": 0.02,
                  "exact_match,flexible-extract": 0.3, "exact_match_stderr,flexible-extract": 0.02},
        "wikitext": {"word_perplexity,none": 12.5, "bits_per_byte,none": 0.8, "word_perplexity_stderr,none": "N/A"},
        "arc_easy": {"acc,none": 0.6, "acc_stderr,none": 0.01, "acc_norm,none": 0.62, "acc_norm_stderr,none": 0.01},
    },
    "groups": {"mmlu": {"acc,none": 0.5, "acc_stderr,none": 0.005, "alias": "mmlu"}},
    "group_subtasks": {"mmlu": ["mmlu_law"], "gsm8k": []},
    "configs": {},
    "versions": {"gsm8k": 3},
    "n-shot": {"gsm8k": 5},
    "higher_is_better": {"wikitext": {"bits_per_byte": False}},
    "n-samples": {"gsm8k": {"original": 1319, "effective": 400}},
    "config": {"model": "hf", "model_args": "pretrained=org/one,dtype=float16", "model_num_parameters": 162322944},
}  # fmt: skip
OLD = {
    "results": {"piqa": {"acc": 0.7, "acc_stderr": 0.01, "acc_norm": 0.71, "acc_norm_stderr": 0.01}},
    "versions": {"piqa": 0},
    "config": {"model": "hf-causal", "model_args": "pretrained=org/two", "num_fewshot": 0},
}
LIGHT = {
    "config_general": {"model_name": "org/three", "lighteval_sha": "x"},
    "results": {
        "leaderboard|arc:challenge|25": {"acc": 0.4, "acc_stderr": 0.01, "acc_norm": 0.45},
        "gsm8k|0": {"em": 0.1, "em_stderr": 0.01},
        "all": {"acc": 0.3},
    },
}
EVERY = {
    "schema_version": "0.2.0",
    "model_info": {"name": "m", "id": "org/four"},
    "evaluation_results": [
        {
            "evaluation_name": "choice",
            "source_data": {"dataset_name": "ai2_arc", "samples_number": 2376, "sample_ids": [1, 2, 3, 4]},
            "metric_config": {"lower_is_better": False, "min_score": 0.0, "max_score": 1.0},
            "score_details": {"score": 0.75, "uncertainty": {"standard_error": {"value": 0.2}}},
        },
        {
            "evaluation_name": "MMLU",
            "metric_config": {"lower_is_better": False, "min_score": 0, "max_score": 100},
            "score_details": {"score": 61.5},
        },
        {"evaluation_name": "wer", "metric_config": {"lower_is_better": True}, "score_details": {"score": 3}},
    ],
}
PLUS = {
    "date": "d",
    "eval": {
        "HumanEval/0": [{"task_id": "HumanEval/0", "base_status": "pass", "plus_status": "fail"}],
        "HumanEval/1": [{"task_id": "HumanEval/1", "base_status": "pass", "plus_status": "pass"}],
    },
}
PLUS_BOARD = {"GPT (May)": {"link": "u", "pass@1": {"humaneval": 88.4, "humaneval+": 79.3, "mbpp": None}, "size": None}}
PRESS = {
    "models": [{"id": "a"}, {"id": "b"}],
    "benchmarks": [{"id": "aime"}, {"id": "arena_elo"}],
    "observed": [[53.5, 1300], [None, 1200]],
}


def write(path: Path, loaded: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(loaded))
    return path


def read(path: Path, **rules: Any) -> Reading:
    return read_tables([path], ReadingRules(**rules))


def cells(found: Reading) -> dict[tuple[str, str], float]:
    table = found.scores
    return {
        (lm, benchmark): float(table.score[m, b])
        for m, lm in enumerate(table.lms)
        for b, benchmark in enumerate(table.benchmarks)
        if not np.isnan(table.score[m, b])
    }


def test_the_harness_of_today(tmp_path: Path) -> None:
    found = read(write(tmp_path / "results_2025.json", NEW))
    one = "org/one"
    assert cells(found) == {(one, "mmlu"): 0.5, (one, "gsm8k"): 0.2, (one, "arc_easy"): 0.6}
    items = dict(zip(found.scores.benchmarks, found.scores.n_items, strict=True))
    assert items == {"mmlu": 10000, "gsm8k": 400, "arc_easy": 2400}
    assert found.lms.loc[one, "params"] == 162322944
    named = read(tmp_path / "results_2025.json", benchmarks=["mmlu_law", "gsm8k:exact_match,flexible-extract"])
    assert list(cells(named).values()) == [0.4, 0.3]
    assert {name for name, _ in found.described.ignored} >= {"wikitext"}


def test_the_harness_of_before(tmp_path: Path) -> None:
    assert cells(read(write(tmp_path / "r.json", OLD))) == {("org/two", "piqa"): 0.7}
    unnamed = {**OLD, "config": {}}
    assert read(write(tmp_path / "org__nine" / "results_1.json", unnamed)).scores.lms == ("org/nine",)


def test_a_folder_of_results_is_one_table(tmp_path: Path) -> None:
    write(tmp_path / "one" / "results_1.json", NEW)
    write(tmp_path / "two" / "results_1.json", OLD)
    write(tmp_path / "three" / "results_1.json", LIGHT)
    (tmp_path / "three" / "samples.json").write_text("no json")
    found = read(tmp_path)
    assert found.scores.lms == ("org/one", "org/three", "org/two")
    assert cells(found)["org/three", "arc:challenge"] == 0.4
    (tmp_path / "two" / "results_1.json").write_text("{")
    with pytest.raises(InputError, match=r"two/results_1.json, line 1: expected JSON"):
        read(tmp_path)


def test_lighteval_and_every_eval_ever(tmp_path: Path) -> None:
    found = read(write(tmp_path / "r.json", LIGHT))
    assert cells(found) == {("org/three", "arc:challenge"): 0.4, ("org/three", "gsm8k"): 0.1}
    found = read(write(tmp_path / "e.json", EVERY))
    assert cells(found) == {("org/four", "ai2_arc"): 0.75, ("org/four", "MMLU"): 0.615}
    assert found.scores.n_items[0] == 4
    lines = "\n".join(json.dumps({**EVERY, "model_info": {"id": name}}) for name in "xy")
    (tmp_path / "e.jsonl").write_text(lines)
    assert read(tmp_path / "e.jsonl").scores.lms == ("x", "y")


def test_evalplus_and_benchpress(tmp_path: Path) -> None:
    found = read(write(tmp_path / "org--five_vllm_temp_0.0.eval_results.json", PLUS))
    assert cells(found) == {("org/five", "HumanEval"): 1.0, ("org/five", "HumanEval+"): 0.5}
    assert list(found.scores.n_items) == [2, 2]
    found = read(write(tmp_path / "results.json", PLUS_BOARD))
    assert cells(found) == pytest.approx({("GPT (May)", "humaneval"): 0.884, ("GPT (May)", "humaneval+"): 0.793})
    found = read(write(tmp_path / "data.json", PRESS))
    assert cells(found) == {("a", "aime"): 0.535}
    assert dict(found.described.ignored) == {"arena_elo": "it is a rating"}


def helm(folder: Path, model: str, mean: float) -> None:
    name = f"mmlu:subject=law,method=multiple_choice,model={model.replace('/', '_')}"
    write(folder / "run_spec.json", {"name": name, "adapter_spec": {"model": model}})
    stats = [
        {"name": {"name": "exact_match", "split": "test"}, "count": 1, "mean": mean},
        {"name": {"name": "exact_match", "split": "test", "perturbation": {"name": "typos"}}, "count": 1, "mean": 0.1},
        {"name": {"name": "num_instances", "split": "test"}, "count": 1, "mean": 500},
        {"name": {"name": "inference_runtime", "split": "test"}, "count": 1, "mean": 2.5},
    ]
    write(folder / "stats.json", stats)


def test_run_folders_of_helm(tmp_path: Path) -> None:
    helm(tmp_path / "runs" / "one", "org/a", 0.5)
    helm(tmp_path / "runs" / "two", "org/b", 0.6)
    found = read(tmp_path)
    name = "mmlu:subject=law,method=multiple_choice"
    assert cells(found) == {("org/a", name): 0.5, ("org/b", name): 0.6}
    assert found.scores.n_items[0] == 500
    write(tmp_path / "runs" / "two" / "stats.json", {})
    with pytest.raises(InputError, match=r"stats.json: expected a list of statistics, found a JSON dict"):
        read(tmp_path)


def test_summaries_of_opencompass(tmp_path: Path) -> None:
    path = tmp_path / "summary.csv"
    path.write_text(
        "dataset,version,metric,mode,one,two\n--- Exam ---,-,-,-,-,-\ngsm8k,1d7fe4,accuracy,gen,65.62,0.80\n"
        "demo,1,accuracy,gen,82.00 (7/8),-\n"
    )
    found = read(path)
    assert cells(found) == {("one", "gsm8k"): 0.6562, ("two", "gsm8k"): 0.008, ("one", "demo"): 0.82}
    path.write_text("dataset,version,metric,mode,one\ngsm8k,1,accuracy,gen,high\n")
    with pytest.raises(InputError, match="line 2, column 'one': expected a score in percent"):
        read(path)


HEAD = "Precision,Type,Weight type,Architecture,Model,fullname,Average ⬆️,Hub ❤️,#Params (B),IFEval Raw,IFEval,BBH Raw,BBH,GPQA Raw,GPQA,Submission Date"  # noqa: E501


def test_exports_of_the_leaderboards(tmp_path: Path) -> None:
    link = '"<a target=""_blank"" href=""u"">org/{0}</a>  <a href=""v"">📑</a>",org/{0}'
    rows = [
        f"bf16,💬,Original,A,{link.format('a')},20.1,3,7.2,0.33,33.0,0.36,10.0,0.26,1.2,2024-08-05",
        f"fp16,💬,Original,A,{link.format('a')},20.2,3,7.2,0.34,34.0,0.36,10.0,0.26,1.2,2024-09-05",
        f"bf16,🟢,Original,A,{link.format('b')},25.3,9,-1,0.41,41.0,0.48,22.0,0.29,4.9,2024-06-12",
    ]
    path = tmp_path / "new.csv"
    path.write_text("\n".join([HEAD, *rows]))
    found = read(path)
    assert (found.scores.lms, found.scores.benchmarks) == (("org/a", "org/b"), ("IFEval", "BBH", "GPQA"))
    np.testing.assert_array_equal(found.scores.score, [[0.34, 0.36, 0.26], [0.41, 0.48, 0.29]])
    np.testing.assert_array_equal(found.lms["params"], [7.2e9, np.nan])
    assert any("1 rows are left out where a model has several" in sentence for sentence in found.described.said)


def broken(loaded: Any, *keys: Any, value: Any) -> Any:
    """A copy with another value at one place."""
    copy = json.loads(json.dumps(loaded))
    place = copy
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return copy


STRICT: dict[str, tuple[Any, str]] = {
    "text": (
        broken(OLD, "results", "piqa", "acc", value=[1]),
        r"task 'piqa', metric 'acc': expected a number, found a JSON list",
    ),
    "flag": (
        broken(OLD, "results", "piqa", "acc", value=True),
        "metric 'acc': expected a number, found True",
    ),
    "task": (broken(NEW, "results", "gsm8k", value=3), "results: expected 'gsm8k' to be of type dict, found 3"),
    "model": (broken(LIGHT, "config_general", "model_name", value=None), "name of the model in 'model_name'"),
    "score": (
        broken(EVERY, "evaluation_results", 0, "score_details", value=None),
        "result 1: expected 'score_details'",
    ),
    "kind": (broken(PLUS, "eval", value={"Other/0": []}), "tasks of HumanEval or Mbpp, found 'Other'"),
    "rows": (broken(PRESS, "observed", value=[[1, 2]]), "a row for each of 2 models, found 1"),
    "cells": (broken(PRESS, "observed", 1, value=[3]), "observed, row 2: expected 2 scores"),
    "huge": (broken(PRESS, "observed", 0, 0, value=10**400), "expected a finite number, found a huge number"),
}


@pytest.mark.parametrize("name", STRICT)
def test_readers_are_strict(tmp_path: Path, name: str) -> None:
    loaded, says = STRICT[name]
    path = write(tmp_path / "some.json", loaded)
    with pytest.raises(InputError, match=says) as caught:
        read(path)
    assert "some.json" in str(caught.value)


def test_the_public_exports_are_read(public_data: Path) -> None:
    table, lms = read_scores(public_data / "latent_law" / "open-llm-leaderboard_new.csv")
    assert table.score.shape == (2859, 6)
    row = table.lms.index("01-ai/Yi-1.5-34B")
    assert table.score[row, 0] == 0.2841172533322695
    assert lms["params"].iloc[row] == 34.389e9
    table, _ = read_scores(public_data / "latent_law" / "open-llm-leaderboard_old.csv")
    assert table.benchmarks == ("ARC", "HellaSwag", "MMLU", "TruthfulQA", "Winogrande", "GSM8K")
    assert table.select(["SF-Foundation/Ein-70B-v2"], ["ARC"]).score.item() == pytest.approx(0.7986)
    table, _ = read_scores(public_data / "benchpress" / "data.json")
    assert table.select(["o3-mini-high"], ["aime_2025"]).score.item() == pytest.approx(0.865)
    assert not {"chatbot_arena_elo", "codeforces_rating"} & set(table.benchmarks)
