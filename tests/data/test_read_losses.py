import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from csvjax.data import loss_format as format
from csvjax.data.losses import LossTable
from csvjax.data.read_losses import read_losses, write_losses
from csvjax.errors import InputError


def table_of(documents: dict[str, str], domains: list[str], lms: tuple[str, ...], known: set[str]) -> LossTable:
    """Units of three bytes, whatever characters they cut."""
    rows = [
        (
            data[start : start + 3].decode(errors="replace"),
            name,
            domains[at % len(domains)],
            start,
            len(data[start:][:3]),
        )
        for at, (name, data) in enumerate((name, text.encode()) for name, text in documents.items())
        for start in range(0, len(data), 3)
    ]
    units = pd.DataFrame(rows, columns=["token", "document", "domain", "start", "bytes"])
    loss = np.random.default_rng(3).gamma(2, 2, (len(lms), len(units)))
    return LossTable(lms, loss, units, {name: documents[name] for name in known})


@pytest.fixture
def table() -> LossTable:
    documents = {"straße": "Füße 🙂\nund mehr", "код": "x = 'я'\n", "third": "abc"}
    return table_of(documents, ["text", "code"], ("m-1", "модель 2"), {"straße", "third"})


def assert_same(one: LossTable, two: LossTable, rtol: float = 0) -> None:
    assert one.lms == two.lms
    assert one.texts == two.texts
    pd.testing.assert_frame_equal(one.units, two.units)
    np.testing.assert_allclose(one.loss, two.loss, rtol=rtol)


@pytest.mark.parametrize("name", ["t.zarr", "t.zarr.zip"])
@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 0), ("float32", 2**-24), ("float16", 2**-11)])
def test_what_is_written_is_read(tmp_path: Path, table: LossTable, name: str, dtype: Any, rtol: float) -> None:
    write_losses(table, tmp_path / "new folder" / name, dtype)
    found = read_losses(tmp_path / "new folder" / name)
    assert_same(found, table, rtol)
    assert found.loss.dtype == (np.float64 if dtype == "float64" else np.float32)
    assert [path.name for path in (tmp_path / "new folder").iterdir()] == [name]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    documents=st.dictionaries(st.text(max_size=5), st.text(min_size=1, max_size=9), min_size=1, max_size=3),
    lms=st.lists(st.text(min_size=1, max_size=5), min_size=0, max_size=3, unique=True),
    domains=st.lists(st.text(max_size=3), min_size=1, max_size=3),
    data=st.data(),
)
def test_any_names_and_texts_survive(
    tmp_path: Path, documents: dict[str, str], lms: list[str], domains: list[str], data: st.DataObject
) -> None:
    known = data.draw(st.sets(st.sampled_from(sorted(documents))))
    table = table_of(documents, domains, tuple(lms), known)
    write_losses(table, tmp_path / "t.zarr.zip", "float64")
    assert_same(read_losses(tmp_path / "t.zarr.zip"), table)


def test_losses_are_chunked_by_model_and_the_zip_holds_the_same_arrays_as_the_folder(
    tmp_path: Path, table: LossTable
) -> None:
    write_losses(table, tmp_path / "t.zarr", "float16")
    write_losses(table, tmp_path / "t.zarr.zip", "float16")
    group = zarr.open_group(tmp_path / "t.zarr", mode="r")
    loss = group["loss"]
    assert isinstance(loss, zarr.Array)
    assert (loss.chunks, loss.dtype, group.metadata.zarr_format) == ((1, len(table.units)), np.dtype(np.float16), 3)
    files = {str(path.relative_to(tmp_path / "t.zarr")) for path in (tmp_path / "t.zarr").rglob("*") if path.is_file()}
    with zipfile.ZipFile(tmp_path / "t.zarr.zip") as archive:
        assert sorted(archive.namelist()) == sorted(files)


@pytest.mark.parametrize("name", ["t.zarr", "t.zarr.zip"])
def test_a_writer_that_dies_leaves_what_was_there(
    tmp_path: Path, table: LossTable, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_losses(table, tmp_path / name, "float64")
    chunks: list[str] = []

    def full(*args: Any, **kwargs: Any) -> None:
        chunks.append("tried")
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(zarr.Group, "create_array", full)
        with pytest.raises(OSError, match="no space"):
            write_losses(table.select(["m-1"]), tmp_path / name)
    assert chunks
    assert_same(read_losses(tmp_path / name), table)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    write_losses(table.select(["m-1"]), tmp_path / name, "float64")
    assert_same(read_losses(tmp_path / name), table.select(["m-1"]))


def test_other_files_in_the_way_are_not_replaced(tmp_path: Path, table: LossTable) -> None:
    (tmp_path / "mine.zarr").mkdir()
    (tmp_path / "mine.zarr" / "thesis.tex").touch()
    with pytest.raises(InputError, match="a Zarr group or nothing"):
        write_losses(table, tmp_path / "mine.zarr")
    (tmp_path / "mine.zarr.zip").mkdir()
    with pytest.raises(InputError, match="a file or nothing"):
        write_losses(table, tmp_path / "mine.zarr.zip")
    with pytest.raises(InputError, match=r"ends in .zarr \(a folder\)"):
        write_losses(table, tmp_path / "losses.csv")
    assert (tmp_path / "mine.zarr" / "thesis.tex").exists()


def test_losses_beyond_float16_are_refused(tmp_path: Path, table: LossTable) -> None:
    large = LossTable(table.lms, table.loss * 1e5, table.units)
    with pytest.raises(InputError, match=r"that float16 can hold, found .* choose dtype='float32'"):
        write_losses(large, tmp_path / "t.zarr", "float16")
    assert not list(tmp_path.iterdir())


def damage_lost_chunk(path: Path) -> None:
    (path / "loss" / "c" / "1" / "0").unlink()


def damage_lost_array(path: Path) -> None:
    shutil.rmtree(path / "token")


def damage_chunk(path: Path) -> None:
    (path / "loss" / "c" / "1" / "0").write_bytes(b"torn")


def damage_metadata(path: Path) -> None:
    (path / "zarr.json").write_text("{")


def damage_version(path: Path) -> None:
    content = json.loads((path / "zarr.json").read_text())
    content["attributes"]["version"] = 2
    (path / "zarr.json").write_text(json.dumps(content))


def damage_all(path: Path) -> None:
    shutil.rmtree(path)
    path.mkdir()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (damage_lost_chunk, r"t.zarr: expected losses that are finite .* found NaN for lm 'модель 2'"),
        (damage_lost_array, "that csvjax wrote at .*t.zarr, found something that cannot be read"),
        (damage_chunk, "that csvjax wrote at"),
        (damage_metadata, "that csvjax wrote at"),
        (damage_version, r"version 1, found \('csvjax losses', 2\)"),
        (damage_all, "that csvjax wrote at"),
    ],
)
def test_a_damaged_store_is_refused(tmp_path: Path, table: LossTable, damage: Any, says: str) -> None:
    write_losses(table, tmp_path / "t.zarr")
    damage(tmp_path / "t.zarr")
    with pytest.raises(InputError, match=says):
        read_losses(tmp_path / "t.zarr")


def test_a_model_without_losses_is_kept_and_told_from_one_that_was_lost(tmp_path: Path, table: LossTable) -> None:
    loss = table.loss.copy()
    loss[0] = np.nan
    write_losses(LossTable(table.lms, loss, table.units, table.texts), tmp_path / "t.zarr")
    found = read_losses(tmp_path / "t.zarr")
    np.testing.assert_array_equal(np.isnan(found.loss), np.isnan(loss))
    damage_lost_chunk(tmp_path / "t.zarr")
    with pytest.raises(InputError, match=f"found NaN for lm '{table.lms[1]}' on every token"):
        read_losses(tmp_path / "t.zarr")


def test_a_torn_or_foreign_zip_is_refused(tmp_path: Path, table: LossTable) -> None:
    path = tmp_path / "t.zarr.zip"
    write_losses(table, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="that csvjax wrote at"):
        read_losses(path)
    np.savez(tmp_path / "t.npz", loss=table.loss)
    with pytest.raises(InputError, match="is a zip archive"):
        read_losses(tmp_path / "t.npz")
    (tmp_path / "t.npz").rename(tmp_path / "t.zip")
    with pytest.raises(InputError, match="that csvjax wrote at"):
        read_losses(tmp_path / "t.zip")
    other = zarr.create_group(tmp_path / "other.zarr", attributes={"lms": ["a"]})
    assert other.store is not None
    with pytest.raises(InputError, match=r"found \('no format', 'no version'\)"):
        read_losses(tmp_path / "other.zarr")


def test_a_wide_table_has_a_unit_of_one_byte_in_each_column(tmp_path: Path) -> None:
    path = tmp_path / "losses.csv"
    path.write_text("run,c4,wiki\nb,3.5,2\na,4,1\n")
    table = read_losses(path)
    assert table.lms == ("b", "a")
    np.testing.assert_array_equal(table.loss, [[3.5, 2], [4, 1]])
    assert list(table.units["token"]) == list(table.units["domain"]) == list(table.units["document"]) == ["c4", "wiki"]
    np.testing.assert_allclose(table.mean_loss, [2.75, 2.5])
    pd.read_csv(path).to_parquet(tmp_path / "losses.parquet")
    assert_same(read_losses(tmp_path / "losses.parquet"), table)
    np.testing.assert_array_equal(read_losses(path, columns=["wiki"]).loss, [[2], [1]])


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        ("run,c4,wiki\na,1,\nb,1,2\n", {}, "line 2, column 'wiki': expected a loss of at least 0, found a blank"),
        ("run,c4\na,1\nb,-2\n", {}, "line 3, column 'c4': expected a loss of at least 0, found -2"),
        ("run,c4\na,1\na,2\n", {}, "line 3, column 'run': expected one row for each model"),
        ("run,params,c4\na,1e9,1\n", {}, r"found the column 'params', which does not seem .*columns=\[...\]"),
        ("run,corpus,c4\na,x,1\n", {}, "found the column 'corpus', which does not seem"),
        ("run\na\n", {}, "a column for each unit besides 'run', found none"),
        ("run,c4\na,1\n", {"columns": ["C4"]}, "expected a column 'C4', found none: the nearest is 'c4'"),
        ("run,c4\na,1\n", {"columns": []}, "list of at least one name"),
        ("run,c4\na,1\n", {"lm_column": "rum"}, "the nearest is 'run'"),
    ],
)
def test_a_faulty_table_is_refused(tmp_path: Path, text: str, options: dict[str, Any], says: str) -> None:
    path = tmp_path / "losses.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        read_losses(path, **options)


def test_options_for_tables_do_not_go_with_a_store(tmp_path: Path, table: LossTable) -> None:
    write_losses(table, tmp_path / "t.zarr")
    with pytest.raises(InputError, match="lm_column and columns are for tables"):
        read_losses(tmp_path / "t.zarr", columns=["c4"])
    with pytest.raises(InputError, match="found no file"):
        read_losses(tmp_path / "nope.zarr")


def test_validation_losses_of_the_open_lm_runs_are_read(public_data: Path) -> None:
    path = public_data / "losses" / "openlm_scaling_104.csv"
    columns = [column for column in pd.read_csv(path, nrows=0).columns if column.startswith("loss|")]
    table = read_losses(path, columns=columns)
    assert table.loss.shape == (104, 8)
    assert table.lms[0] == "c4_original-d=1024_l=24_h=8-0.25"
    np.testing.assert_array_equal(table.loss[0, :2], [4.25702, 3.52795])
    assert table.mean_loss[0] == pytest.approx(table.loss[0].mean())
    with pytest.raises(InputError, match="found the column 'dataset'"):
        read_losses(path)


def test_the_format_is_the_documented_one(tmp_path: Path, table: LossTable) -> None:
    write_losses(table, tmp_path / "t.zarr")
    group = zarr.open_group(tmp_path / "t.zarr", mode="r")
    assert set(group.attrs) == {"format", "version", "lms", "documents", "domains"}
    assert format.__doc__ is not None
    for name, _ in group.arrays():
        assert f"{name} " in format.__doc__ or f"{name}," in format.__doc__
