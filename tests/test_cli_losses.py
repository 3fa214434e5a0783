"""`csvjax losses`: from paths to a store that can be read, shown and gone on with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from csvjax.cli import app
from csvjax.data.read_losses import read_losses
from tests.lms.small import sentencepiece, write_checkpoint
from tests.losses.test_store import files

SIZES = ["--context", "64", "--batch", "128", "--chunk", "50"]


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["losses", *map(str, words)], env={"COLUMNS": "160"})


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    for seed in (0, 1):
        write_checkpoint(folder / f"m{seed}", seed)
    (folder / "prose").mkdir()
    (folder / "prose" / "a.txt").write_text("the theme of them and the other things that they say " * 5)
    (folder / "b.txt").write_bytes("schön\r\n".encode() + b"\xff")
    return folder


def given(work: Path) -> list[object]:
    return ["--lm", work / "m0", "--lm", f"second={work / 'm1'}", "--text", work / "prose", "--text", work / "b.txt"]


def test_losses_of_two_models_are_extracted_and_shown(work: Path, tmp_path: Path) -> None:
    store = tmp_path / "s.zarr"
    done = run(*given(work), "--out", store, *SIZES)
    assert done.exit_code == 0, done.output
    assert "1 characters are not valid UTF-8" in done.stderr
    assert "tokens/s" in done.stderr
    assert "left" in done.stderr
    table = read_losses(store)
    assert table.lms == ("m0", "second")
    assert list(table.units["domain"].unique()) == ["prose", "b"]
    shown = run("show", store)
    row = next(line.split() for line in shown.stdout.splitlines() if line.startswith("second") and " all " in line)
    assert float(row[4]) == pytest.approx(table.loss[1].mean(), abs=1e-4)
    assert float(row[5]) == pytest.approx(table.mean_loss[1] / np.log(2), abs=1e-4)
    whole = files(store)
    again = run(*given(work), "--out", store, *SIZES)
    assert again.exit_code == 0
    assert files(store) == whole


def test_stores_of_two_tokenizers_are_joined(work: Path, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "sp", tokenizer=sentencepiece())
    for lm in (work / "m0", tmp_path / "sp"):
        done = run("--lm", lm, "--text", work / "prose", "--out", tmp_path / f"{lm.name}.zarr", *SIZES)
        assert done.exit_code == 0, done.output
    both, out = [tmp_path / "m0.zarr", tmp_path / "sp.zarr"], tmp_path / "both.zarr"
    done = run("join", *both, "--out", out)
    assert done.exit_code == 0, done.output
    table = read_losses(out)
    assert table.lms == ("m0", "sp")
    np.testing.assert_allclose(table.mean_loss, [read_losses(path).mean_loss[0] for path in both], rtol=1e-6)
    assert "one of common, words, fixed" in run("join", *both, "--out", out, "--units", "lines").stderr


def test_show_says_what_is_missing_and_damaged(work: Path, tmp_path: Path) -> None:
    store = tmp_path / "s.zarr"
    assert run(*given(work), "--out", store, *SIZES, "--part", "1/2").exit_code == 0
    hurt = store / "loss" / "c" / "0" / "0"
    hurt.write_bytes(hurt.read_bytes()[:-3])
    said = run("show", store).stdout
    assert "m0: 1 chunks are missing" in said
    assert f"{hurt} is damaged" in said.replace("\n", "")


def test_a_dry_run_says_what_it_would_take_and_writes_nothing(work: Path, tmp_path: Path) -> None:
    done = run(*given(work), "--dry-run", "--out", tmp_path / "s.zarr", *SIZES)
    assert done.exit_code == 0, done.output
    for heading in ("tokens", "windows", "memory", "time"):
        assert heading in done.stdout
    assert "second" in done.stdout
    assert not (tmp_path / "s.zarr").exists()


def test_a_quantised_model_is_refused_at_once_and_the_others_go_on(work: Path, tmp_path: Path) -> None:
    small = write_checkpoint(tmp_path / "small")
    config = json.loads((small / "config.json").read_text())
    (small / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "gptq"}}))
    lms = ["--lm", small, "--lm", work / "m0"]
    for words in (["--dry-run"], ["--out", tmp_path / "s.zarr"]):
        done = run(*lms, "--text", work / "prose", *words, *SIZES)
        assert done.exit_code == 2
        first, last = done.stderr.splitlines()[0], done.stderr.splitlines()[-1]
        assert first.startswith(f"{small} is left out: expected weights that are not quantised")
        assert "by gptq" in first
        assert "expected 2 models, found 1 that cannot be read" in last
    assert read_losses(tmp_path / "s.zarr").lms == ("m0",)
    alone = run("--lm", small, "--text", work / "prose", "--out", tmp_path / "t.zarr", *SIZES)
    assert alone.exit_code == 2
    assert len(alone.stderr.splitlines()) == 1
    assert not (tmp_path / "t.zarr").exists()


def test_a_model_is_dropped_and_incomplete_ones_are_left_out(work: Path, tmp_path: Path) -> None:
    store, out = tmp_path / "s.zarr", tmp_path / "out.zarr"
    assert run(*given(work), "--out", store, *SIZES).exit_code == 0
    (store / "loss" / "c" / "0" / "0").unlink()
    assert run("join", store, "--out", out).exit_code == 2
    done = run("join", store, "--out", out, "--common")
    assert done.exit_code == 0, done.output
    assert "'m0' left out" in done.stderr
    assert read_losses(out).lms == ("second",)
    assert "was deleted from" in run("drop", store, "m0").stdout
    assert read_losses(store).lms == ("second",)
    np.testing.assert_allclose(read_losses(out).mean_loss, read_losses(store).mean_loss, rtol=1e-6)
    assert "the nearest is 'second'" in run("drop", store, "secand").stderr


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["--context", "300"], "--context from 1 to 256 tokens"),
        (["--dtype", "int8"], "--dtype to be float32 or bfloat16, found 'int8'"),
        (["--part", "3/2"], "--part as I/N"),
        (["--memory", "much"], "--memory as a size like 8GiB or 500MB, found 'much'"),
        (["--memory", "1kB"], "--memory of at least"),
        (["--first", "never"], "'bos' or 'unscored'"),
        (["--model-devices", "64"], "found 64"),
        (["--distributed", "here"], "--distributed as HOST:PORT,COUNT,INDEX"),
    ],
)
def test_wrong_options_are_one_sentence(work: Path, tmp_path: Path, change: list[str], says: str) -> None:
    done = run(*given(work), "--out", tmp_path / "s.zarr", *change)
    assert done.exit_code == 2
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2  # after the note on UTF-8
    assert not (tmp_path / "s.zarr").exists()


def test_wrong_input_is_one_sentence(work: Path, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "sp", tokenizer=sentencepiece())
    store, text = tmp_path / "s.zarr", work / "b.txt"
    for words, says in [
        (["--lm", work / "m0", "--out", store], "expected --lm, --text and --out"),
        (["--lm", work / "none/x/y", "--text", text, "--out", store], "found nothing there"),
        (["--lm", work / "m0", "--text", tmp_path / "x", "--out", store], "found nothing there"),
        (
            ["--lm", work / "m0", "--lm", tmp_path / "sp", "--text", text, "--out", store],
            "the same tokenizer",
        ),
        (["--lm", work / "m0", "--lm", work / "m0", "--text", text, "--out", store], "different names for the models"),
        (["show", tmp_path / "nothing.zarr"], "store that csvjax losses wrote"),
    ]:
        done = run(*words)
        assert done.exit_code == 2, words
        assert says in done.stderr
        assert not store.exists()
