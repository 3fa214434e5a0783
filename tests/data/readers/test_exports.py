"""Logs of Inspect, Aider's YAML, Epoch's tables, open_lm, Weights & Biases, and samples of lm-evaluation-harness."""

from __future__ import annotations

import io
import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from csvjax.data.read_scores import Reading, read_tables
from csvjax.data.rules import ReadingRules
from csvjax.errors import InputError


def read(*paths: Path, **rules: Any) -> Reading:
    return read_tables(list(paths), ReadingRules(**rules))


def scores(found: Reading) -> dict[tuple[str, str], float]:
    frame = found.scores.to_frame().stack()
    return {(str(lm), str(benchmark)): float(value) for (lm, benchmark), value in frame.items()}


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def inspect_log(model: str = "openai/gpt-x", status: str = "success", **results: Any) -> dict[str, Any]:
    metrics = {"accuracy": {"name": "accuracy", "value": 0.75}, "stderr": {"name": "stderr", "value": 0.03}}
    second = {"name": "judge", "scorer": "model", "metrics": {"mean": {"name": "mean", "value": 0.5}}}
    found = {"total_samples": 200, "completed_samples": 200, "scores": [{"name": "match", "metrics": metrics}, second]}
    about = {"task": "inspect_evals/gpqa_diamond", "model": model, "config": {"epochs": 2}}
    return {"version": 2, "status": status, "eval": about, "results": {**found, **results}}


def packed(log: Any, name: str = "header.json") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("_journal/start.json", "{}")
        archive.writestr(name, json.dumps(log))
        archive.writestr("samples/1_epoch_1.json", "{}")
    return file.getvalue()


def test_logs_of_inspect_are_read_packed_or_not(tmp_path: Path) -> None:
    plain = read(write(tmp_path / "log.json", inspect_log()))
    assert scores(plain) == {("openai/gpt-x", "gpqa_diamond"): 0.75}
    assert plain.scores.n_items[0] == 100  # 200 samples are 100 items of two epochs
    (tmp_path / "log.eval").write_bytes(packed(inspect_log()))
    assert scores(read(tmp_path / "log.eval")) == scores(plain)
    every = read(tmp_path / "log.eval", benchmarks=["gpqa_diamond", "gpqa_diamond:mean,judge"])
    assert every.scores.score[0, 1] == 0.5
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.eval").write_bytes(packed(inspect_log("a")))
    write(tmp_path / "folder" / "b.json", inspect_log("b"))
    assert read(tmp_path / "folder").scores.lms == ("a", "b")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (packed(inspect_log(status="cancelled")), "found 'cancelled'"),
        (packed({}, "other.json"), "a finished log"),
        (packed(inspect_log(scores=[{"metrics": {"accuracy": 0.5}}])), "scores\\[0\\].metrics: expected 'accuracy'"),
        (packed(inspect_log())[:-30], "is a zip archive"),
        (packed(inspect_log()).replace(b"header.json", b"header.jsom", 1), "cannot be read"),
    ],
)
def test_logs_that_tell_nothing_are_refused(tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "log.eval").write_bytes(data)
    with pytest.raises(InputError, match=says):
        read(tmp_path / "log.eval")


AIDER = """
- dirname: 2025-02-22-00-51-50--r1
  test_cases: 225
  model: r1
  edit_format: diff
  pass_rate_1: 19.6
  pass_rate_2: 44.0
  date: 2025-02-22
- model: tiny
  edit_format: whole
  pass_rate_1: 1.2
  pass_rate_2: 3.4
- model: r1
  edit_format: whole
  pass_rate_1: 20
  pass_rate_2: 45
"""


def test_leaderboards_of_aider_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "polyglot_leaderboard.yml", AIDER)
    found = read(path)
    expected = {"r1": 0.44, "tiny": 0.034, "r1 (whole, record 3)": 0.45}
    assert scores(found) == pytest.approx({(lm, "aider_polyglot"): value for lm, value in expected.items()})
    assert found.scores.n_items[0] == 225
    assert read(path, metric="pass_rate_1").scores.score[0, 0] == pytest.approx(0.196)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (AIDER.replace("44.0", "many"), "record 1, pass_rate_2: expected a number, found 'many'"),
        ("- [a", "expected YAML"),
        ("- a: 2025-13-45", "expected YAML"),
        ("[" * 5000, "expected YAML"),
        ("a: &a [*a]", "expected"),
        ("1: 2", "a JSON dict with the keys 1"),
        ("", "a JSON NoneType"),
    ],
)
def test_faulty_yaml_is_refused_with_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read(write(tmp_path / "edit_leaderboard.yml", text))


EPOCH = """Model version,Best score (across scorers),Release date,Training compute (FLOP),stderr,Started at,id
a-2024,0.40,2024-01-01,1e24,0.03,2025-01-01,x1
a-2024,0.42,2024-01-01,1e24,0.03,2025-02-01,x2
b-large,0.60,2024-05-01,,0.03,2025-01-01,x3
c,,2024-06-01,,,2025-01-01,x4
"""


def test_tables_of_epoch_are_read(tmp_path: Path) -> None:
    found = read(write(tmp_path / "gpqa_diamond.csv", EPOCH))
    assert scores(found) == {("a-2024", "gpqa_diamond"): 0.42, ("b-large", "gpqa_diamond"): 0.6}
    np.testing.assert_array_equal(found.lms["flops"], [1e24, np.nan])
    assert found.scores.n_items[0] == round(np.median([0.42 * 0.58 / 0.03**2, 0.24 / 0.03**2]))
    assert any("1 earlier runs" in sentence for sentence in found.described.said)
    text = "task,model,Best score (across scorers)\nGPQA diamond,a,0.4\nMATH level 5,a,0.9\n"
    both = scores(read(write(tmp_path / "benchmarks_runs.csv", text)))
    assert both == {("a", "GPQA diamond"): 0.4, ("a", "MATH level 5"): 0.9}
    with pytest.raises(InputError, match="line 2, column 'Best score"):
        read(write(tmp_path / "gpqa_diamond.csv", EPOCH.replace("0.40", "high")))


def test_evaluations_of_open_lm_are_read_with_their_models(tmp_path: Path) -> None:
    name = "c4-d=96-0.5"
    metrics = {"icl": {"arc_easy": 0.34, "boolq": 0.49, "unknown": None}, "perplexity": {"x": 3.0}}
    loaded = {"name": "/x/heavy", "model": "d=96", "eval_metrics": metrics}
    path = write(tmp_path / "evals" / f"evaluation_{name}_heavy.json", loaded)
    alone = read(path)
    assert scores(alone) == {(name, "arc_easy"): 0.34, (name, "boolq"): 0.49}
    model = {"dataset_name": "c4", "hyperparameters": {"tokens": 2e9, "params": 4e8}}
    write(tmp_path / "models" / f"{name}.json", model)
    lms = read(tmp_path / "evals").lms
    assert list(lms.loc[name, ["family", "params", "tokens", "flops"]]) == ["c4", 4e8, 2e9, 6 * 4e8 * 2e9]
    metrics["icl"]["boolq"] = "high"
    with pytest.raises(InputError, match="'boolq': expected a number"):
        read(write(path, loaded))


WANDB = """_step,_runtime,_timestamp,train/loss,train/grad_norm,lr,tokens,eval/arc_easy_acc,eval/loss
100,10,1700000000,3.1,0.5,0.001,1e9,,
200,20,1700000010,2.9,0.4,0.001,2e9,0.31,3.0
300,30,1700000020,2.8,0.4,0.001,3e9,NaN,NaN
400,40,1700000030,2.7,0.3,0.001,4e9,0.35,2.8
"""


def test_checkpoints_of_a_run_are_models(tmp_path: Path) -> None:
    one, two = (write(tmp_path / f"{name}.csv", WANDB) for name in ("run-a", "run-b"))
    found = read(one, two)
    assert found.scores.lms == ("run-a step 200", "run-a step 400", "run-b step 200", "run-b step 400")
    assert found.scores.benchmarks == ("eval/arc_easy_acc",)
    np.testing.assert_array_equal(found.scores.score[:, 0], [0.31, 0.35] * 2)
    assert list(found.lms["family"]) == ["run-a", "run-a", "run-b", "run-b"]
    np.testing.assert_array_equal(found.lms["tokens"], [2e9, 4e9] * 2)
    ignored = dict(found.described.ignored)
    assert ignored["train/grad_norm"] == "it is a quantity of the training"
    assert ignored["eval/loss"] == "it is a loss"


def sample(doc: int, target: Any, logs: list[Any], acc: float, **more: Any) -> dict[str, Any]:
    answers = [[value, False] for value in logs]
    return {"doc_id": doc, "doc": {}, "target": target, "filtered_resps": answers, "acc": acc, "filter": "none", **more}


SAMPLES = [sample(0, 0, [-1.0, -2.0], 1.0), sample(1, "1", ["-1.0", "-3.0"], 0.0), sample(2, 1, [-5.0, -4.0], 1.0)]


def lines(samples: list[Any]) -> str:
    return "\n".join(map(json.dumps, samples)) + "\n"


def test_samples_give_scores_items_and_the_probability_of_the_right_answer(tmp_path: Path) -> None:
    path = write(tmp_path / "org__m" / "samples_arc_easy_2024-05-01T10-00-00.123.jsonl", lines(SAMPLES))
    found = read(path, benchmarks=["arc_easy", "arc_easy:p_right"])
    right = [1 / (1 + math.exp(-1)), 1 / (1 + math.exp(2)), 1 / (1 + math.exp(-1))]
    assert found.scores.lms == ("org/m",)
    np.testing.assert_allclose(found.scores.score[0], [2 / 3, np.mean(right)])
    error = np.std(right, ddof=1) / math.sqrt(3)
    np.testing.assert_array_equal(found.scores.n_items, [3, round(np.mean(right) * (1 - np.mean(right)) / error**2)])
    assert read(path).scores.benchmarks == ("arc_easy",)


def test_the_loss_on_the_right_answer_is_in_nats_and_read_if_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "org__m" / "samples_arc_easy_2024-05-01T10-00-00.123.jsonl", lines(SAMPLES))
    for found in (read(path, metric="nll_right"), read(path, benchmarks=["arc_easy:nll_right"])):
        assert found.scores.score.tolist() == [[pytest.approx((1 + 3 + 4) / 3)]]
        assert found.scores.scales[0].word == "nats (lower is better)"
        assert np.isnan(found.scores.n_items[0])


@pytest.mark.parametrize("column", ["metrics", "metric"])
def test_details_of_lighteval_name_model_and_task_by_their_place(tmp_path: Path, column: str) -> None:
    answers = [{"acc": 1.0, "acc_norm": 0}, {"acc": 0.0, "acc_norm": 1}, {"acc": 1.0, "acc_norm": 1}]
    for lm, chosen in (("org/m", answers), ("org/n", answers[:2])):
        place = (
            tmp_path
            / "details"
            / lm
            / "2024-05-01T10-00-00.1"
            / "details_lighteval|piqa|0_2024-05-01T10-00-00.1.parquet"
        )
        place.parent.mkdir(parents=True)
        pd.DataFrame({"full_prompt": ["q"] * len(chosen), column: chosen}).to_parquet(place)
        assert scores(read(place)) == {(lm, "piqa"): pytest.approx(np.mean([a["acc"] for a in chosen]))}
    found = read(tmp_path)
    assert scores(found) == {("org/m", "piqa"): pytest.approx(2 / 3), ("org/n", "piqa"): 0.5}
    (tmp_path / "loose").mkdir()
    loose = place.rename(tmp_path / "loose" / place.name)
    with pytest.raises(InputError, match="does not name the model"):
        read(loose)


def test_the_last_of_several_runs_counts_and_is_told(tmp_path: Path) -> None:
    for day, score in (("02", 0.5), ("01", 0.4)):
        results = {"results": {"arc_easy": {"acc,none": score}}, "config": {"model_args": "pretrained=org/m"}}
        write(tmp_path / "org__m" / f"results_2024-05-{day}T10-00-00.json", results)
    found = read(tmp_path)
    assert scores(found) == {("org/m", "arc_easy"): 0.5}
    assert "the file whose name sorts last counts: 'org/m'" in " ".join(found.described.said)


@pytest.mark.parametrize(
    ("name", "benchmark"),
    [
        ("gsm:model={lm}", "gsm"),
        ("mmlu:subject=anatomy,method=joint,model={lm}", "mmlu:subject=anatomy,method=joint"),
        ("mmlu:model={lm},subject=anatomy", "mmlu:subject=anatomy"),
    ],
)
def test_runs_of_helm_on_two_models_are_one_benchmark(tmp_path: Path, name: str, benchmark: str) -> None:
    for lm, score in (("org_m", 0.4), ("org_n", 0.5)):
        run = {"name": name.format(lm=lm), "adapter_spec": {"model": lm}}
        stats = [{"name": {"name": "exact_match", "split": "test"}, "mean": score}]
        write(tmp_path / lm / "run_spec.json", run)
        write(tmp_path / lm / "stats.json", stats)
    assert scores(read(tmp_path)) == {("org_m", benchmark): 0.4, ("org_n", benchmark): 0.5}


def test_samples_tell_the_items_of_the_results_beside_them(tmp_path: Path) -> None:
    results = {"results": {"arc_easy": {"acc,none": 0.6667}}, "config": {"model_args": "pretrained=org/m"}}
    write(tmp_path / "org__m" / "results_2024.json", results)
    write(tmp_path / "org__m" / "samples_arc_easy_2024-05-01T10-00-00.jsonl", lines(SAMPLES))
    found = read(tmp_path)
    assert scores(found) == {("org/m", "arc_easy"): 0.6667}
    assert found.scores.n_items[0] == 3


def test_samples_with_generated_answers_have_their_metrics_by_filter(tmp_path: Path) -> None:
    generated = [
        {"doc_id": i, "target": "4", "filtered_resps": ["4"], "filter": how, "metrics": ["exact_match"],
         "exact_match": float(i < (2 if how == "strict-match" else 3))}
        for i in range(4) for how in ("strict-match", "flexible-extract")
    ]  # fmt: skip
    found = read(write(tmp_path / "m" / "samples_gsm8k.jsonl", lines(generated)))
    assert scores(found) == {("m", "gsm8k"): 0.5}
    other = read(tmp_path / "m" / "samples_gsm8k.jsonl", metric="exact_match,flexible-extract")
    assert other.scores.score[0, 0] == 0.75


@pytest.mark.parametrize(
    ("name", "samples", "says"),
    [
        ("samples_x.jsonl", [SAMPLES[0], SAMPLES[0]], "each doc_id once"),
        ("other.jsonl", SAMPLES, "samples_TASK_DATE"),
        ("samples_x.jsonl", [sample(0, 0, [-1.0, "-inf"], 1.0), SAMPLES[1]], "finite log-likelihoods"),
        ("samples_x.jsonl", [SAMPLES[0], sample(1, 0, [-1.0, -2.0], "yes")], "doc_id 1, 'acc': expected a number"),  # type: ignore[arg-type]
    ],
)
def test_faulty_samples_are_refused(tmp_path: Path, name: str, samples: list[Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        read(write(tmp_path / "m" / name, lines(samples)))
