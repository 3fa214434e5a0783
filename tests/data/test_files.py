from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from csvjax.data.dataset import Dataset, align
from csvjax.data.files import FILES, load_dataset, read_lms, save_dataset
from csvjax.data.losses import LossTable
from csvjax.data.scores import ScoreTable
from csvjax.errors import InputError

LMS = ("a", "b", "模型")


@pytest.fixture
def dataset() -> Dataset:
    columns = {
        "family": ["x", "x", "y"],
        "params": [1e9, np.nan, 7e9],
        "tokens": np.nan,
        "flops": [1e21, np.nan, 3.5e22],
        "run": ["01", "01", "2"],
        "layers": [12, 24, 48],
        "rate": [0.5, np.nan, 1.0],
        "licence": ["open", "", "closed, mostly"],
    }
    units = pd.DataFrame({"token": ["p", "q"], "document": "d", "domain": "t", "start": [0, 1], "bytes": 1})
    return align(
        pd.DataFrame(columns, pd.Index(LMS, name="lm", dtype=str)).astype({"family": str, "run": str, "licence": str}),
        ScoreTable(LMS, ("t",), np.array([[0.5], [np.nan], [1 / 3]]), floor=np.full(1, np.nan)),
        LossTable(LMS, np.random.default_rng(2).uniform(0, 9, (3, 2)).astype(np.float32), units),
    )


def test_what_is_saved_is_loaded_with_its_types(tmp_path: Path, dataset: Dataset) -> None:
    save_dataset(dataset, tmp_path)
    found = load_dataset(tmp_path)
    pd.testing.assert_frame_equal(found.lms, dataset.lms)
    for one, other in zip(found.measured(), dataset.measured(), strict=True):
        assert one.lms == other.lms
    for name in ("score", "n_items", "floor", "ceiling"):  # the last three are not known
        np.testing.assert_array_equal(getattr(found.scores, name), getattr(dataset.scores, name))
    np.testing.assert_array_equal(found.measured()[1].loss, dataset.measured()[1].loss)


@pytest.mark.parametrize("name", FILES)
def test_an_absent_file_is_named(tmp_path: Path, dataset: Dataset, name: str) -> None:
    save_dataset(dataset, tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(InputError, match=f"found no {name} in"):
        load_dataset(tmp_path)


def test_losses_are_there_or_not(tmp_path: Path, dataset: Dataset) -> None:
    save_dataset(dataset, tmp_path)
    assert load_dataset(tmp_path, losses=False).losses is not None
    save_dataset(Dataset(dataset.lms, dataset.scores), tmp_path)
    found = load_dataset(tmp_path, losses=False)
    assert found.losses is None
    pd.testing.assert_frame_equal(found.lms, dataset.lms)
    with pytest.raises(InputError, match=r"found no losses\.zarr\.zip in"):
        load_dataset(tmp_path)


def test_a_dataset_without_scores_is_not_saved(tmp_path: Path, dataset: Dataset) -> None:
    with pytest.raises(InputError, match="found one without"):
        save_dataset(Dataset(dataset.lms, losses=dataset.losses), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_table_of_models_needs_no_more_than_names(tmp_path: Path) -> None:
    path = tmp_path / "lms.csv"
    path.write_text("Model,Parameters (B)\nnew,7\n")
    frame = read_lms(path)
    assert frame.loc["new", "family"] == "new"
    assert frame.loc["new", "params"] == 7e9
