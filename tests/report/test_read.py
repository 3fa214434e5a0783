import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from csvjax.errors import InputError
from csvjax.report import write_report
from csvjax.report.read import read_run


def _change(folder: Path, name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    change(pd.read_parquet(folder / name)).to_parquet(folder / name)


@pytest.mark.parametrize("name", ["config.json", "figures.json", "predictions.parquet", "metrics.csv"])
def test_a_file_that_is_missing_is_named(run_folder: Path, name: str) -> None:
    (run_folder / name).unlink()
    with pytest.raises(InputError, match=f"expected the file {name} in the run folder .* found none"):
        write_report(run_folder)


@pytest.mark.parametrize(
    "name", ["config.json", "figures.json", "predictions.parquet", "metrics.csv", "salience.parquet"]
)
@pytest.mark.parametrize("content", [b"", b"\xff\x00 not a table {"])
def test_a_file_that_cannot_be_read_is_one_sentence(run_folder: Path, name: str, content: bytes) -> None:
    (run_folder / name).write_bytes(content)
    with pytest.raises(InputError, match=name) as caught:
        write_report(run_folder)
    assert "\n" not in str(caught.value)
    assert not (run_folder / "report.html").exists()


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the folder of a run"):
        write_report(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("predictions.parquet", lambda p: p.drop(columns=["lower90", "family"]), "the columns family, lower90"),
        ("predictions.parquet", lambda p: p.iloc[:0], "at least one row, found none"),
        ("predictions.parquet", lambda p: p.assign(mean="high"), "numbers in the column mean"),
        (
            "predictions.parquet",
            lambda p: p.assign(mean=p["mean"].mask(p.index == 0)),
            "found 1 rows without, the first is",
        ),
        ("salience.parquet", lambda p: p.assign(base_weight=-1.0), "a base_weight of at least 0 and a finite share"),
        ("salience.parquet", lambda p: p.drop(columns="token"), "the columns token"),
    ],
)
def test_a_table_with_the_wrong_content_is_one_sentence(
    run_folder: Path, name: str, change: Callable[[pd.DataFrame], pd.DataFrame], sentence: str
) -> None:
    _change(run_folder, name, change)
    with pytest.raises(InputError, match=sentence):
        read_run(run_folder)


def test_headline_figures_are_numbers_or_texts(run_folder: Path) -> None:
    (run_folder / "figures.json").write_text(json.dumps({"r2_gain": 1, "note": "a", "gap": None}))
    assert read_run(run_folder).figures == {"r2_gain": 1.0, "note": "a", "gap": None}
    (run_folder / "figures.json").write_text(json.dumps({"r2_gain": [1]}))
    with pytest.raises(InputError, match="found a list for r2_gain"):
        read_run(run_folder)


def test_a_column_of_gaps_only_is_a_column_of_numbers(run_folder: Path) -> None:
    _change(run_folder, "predictions.parquet", lambda p: p.assign(salient_loss=None))
    column = read_run(run_folder).predictions["salient_loss"]
    assert column.dtype == np.float64
    assert column.isna().all()
