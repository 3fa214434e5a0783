from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from csvjax.data.dataset import Dataset, align
from csvjax.data.losses import LossTable
from csvjax.data.scores import ScoreTable
from csvjax.errors import InputError
from csvjax.ladder.load import load_ladder, save_ladder

LMS = ("code-30k-64", "code-30k-128", "deutsch-1M-64")


@pytest.fixture
def ladder() -> Dataset:
    rng = np.random.default_rng(5)
    columns = {
        "family": ["code", "code", "deutsch"],
        "size": ["30k", "30k", "1M"],
        "run": ["code-30k", "code-30k", "deutsch-1M"],
        "step": [64, 128, 64],
        "params": [30e3, 30e3, 1e6],
        "tokens": [131072.0, 262144, 131072],
        "flops": rng.uniform(1e10, 1e12, 3),
    }
    text = "für x in y:\n"
    units = pd.DataFrame(
        {"token": ["für x", " in y:\n"], "document": "für.py", "domain": "code", "start": [0, 6], "bytes": [6, 7]}
    )
    score = np.array([[1 / 3, np.nan], [0.1, np.nan], [0, np.nan]])
    return align(
        pd.DataFrame(columns, pd.Index(LMS, name="lm", dtype=str)),
        ScoreTable(LMS, ("NA", 'odd, "name"'), score, np.array([300, np.nan]), np.array([0.25, 0]), np.array([0.9, 1])),
        LossTable(LMS, rng.uniform(0, 12, (3, 2)), units, {"für.py": text}),
    )


def test_what_is_saved_is_loaded(tmp_path: Path, ladder: Dataset) -> None:
    save_ladder(ladder, tmp_path / "ladder")
    found = load_ladder(tmp_path / "ladder")
    pd.testing.assert_frame_equal(found.lms, ladder.lms)
    for name in ("lms", "benchmarks", "score", "n_items", "floor", "ceiling"):
        np.testing.assert_array_equal(getattr(found.scores, name), getattr(ladder.scores, name))
    assert found.losses is not None
    assert ladder.losses is not None
    assert np.abs(found.losses.loss - ladder.losses.loss).max() <= 1 / 256  # float16 below 16 nats
    assert found.losses.texts == ladder.losses.texts
    pd.testing.assert_frame_equal(found.losses.units, ladder.losses.units)


def test_saving_again_replaces_and_float64_keeps_every_bit(tmp_path: Path, ladder: Dataset) -> None:
    save_ladder(ladder, tmp_path)
    part = ladder.subset(LMS[:2])
    save_ladder(part, tmp_path, dtype="float64")
    found = load_ladder(tmp_path)
    assert found.losses is not None
    assert part.losses is not None
    np.testing.assert_array_equal(found.losses.loss, part.losses.loss)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lms.csv", "losses.zarr.zip", "scores.csv"]


@pytest.mark.parametrize("name", ["lms.csv", "losses.zarr.zip", "scores.csv"])
def test_an_absent_file_is_named(tmp_path: Path, ladder: Dataset, name: str) -> None:
    save_ladder(ladder, tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(InputError, match=f"found no {name}; write the ladder with save_ladder"):
        load_ladder(tmp_path)


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path, ladder: Dataset) -> None:
    save_ladder(ladder, tmp_path)
    save_ladder(ladder.subset(LMS[:2]), tmp_path / "other")
    (tmp_path / "other" / "lms.csv").replace(tmp_path / "lms.csv")
    with pytest.raises(InputError, match="'deutsch-1M-64' only in scores"):
        load_ladder(tmp_path)


def test_a_step_that_is_no_whole_number_is_refused(tmp_path: Path, ladder: Dataset) -> None:
    save_ladder(ladder, tmp_path)
    content = (tmp_path / "lms.csv").read_text()
    (tmp_path / "lms.csv").write_text(content.replace(",128,", ",128.5,"))
    with pytest.raises(InputError, match=r"lms.csv, line 3, column 'step': expected a whole number, found 128.5"):
        load_ladder(tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: Dataset(d.lms, d.scores), "with scores and losses, found one without"),
        (lambda d: Dataset(d.lms.drop(columns="run"), d.scores, d.losses), "none named 'run'"),
    ],
)
def test_a_dataset_that_is_no_ladder_is_not_saved(tmp_path: Path, ladder: Dataset, change: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        save_ladder(change(ladder), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_package_without_its_ladder_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("csvjax.ladder.load._PACKAGED", tmp_path)
    with pytest.raises(InputError, match=r"found no lms.csv; install csvjax again"):
        load_ladder()
