"""Tables in all the forms in which people keep them."""

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pytest

import csvjax
from csvjax.data.raw import read_raw
from csvjax.data.read_scores import read_scores
from csvjax.errors import InputError

CSV = "Model,Params (B),x\na,1,0.5\nb,7,\n"
RECORDS = [{"Model": "a", "Params (B)": 1, "x": 0.5}, {"Model": "b", "Params (B)": 7, "x": None}]
FRAME = pd.DataFrame(RECORDS)
MARKDOWN = (
    "# Results\n\n| Model | Params (B) | x |\n|:--|--:|---|\n| **a** | 1 | 0.5 |\n| [b](http://b) | 7 | - |\n\nText.\n"
)
HTML = (
    "<!doctype html><html><body><table><thead><tr><th>Model</th><th>Params (B)</th><th>x</th></tr></thead>"
    "<tbody><tr><td><a href='u'>a</a></td><td>1</td><td>0.5</td></tr><tr><td>b<td>7<td>N/A</tr></table></body></html>"
)


def workbook(rows: list[list[Any]]) -> bytes:
    """A small workbook with shared strings, as Excel writes it."""
    texts = sorted({cell for row in rows for cell in row if isinstance(cell, str)})
    lines = []
    for r, row in enumerate(rows, 1):
        cells = "".join(
            f'<c r="{"ABCDEF"[c]}{r}" t="s"><v>{texts.index(cell)}</v></c>'
            if isinstance(cell, str)
            else f'<c r="{"ABCDEF"[c]}{r}"><v>{cell}</v></c>'
            for c, cell in enumerate(row)
            if cell is not None
        )
        lines.append(f'<row r="{r}">{cells}</row>')
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    link = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    relations = 'xmlns="http://schemas.openxmlformats.org/package/2006/relationships"'
    parts = {
        "_rels/.rels": f"<Relationships {relations}>"
        f'<Relationship Id="rId1" Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook {space} {link}><sheets><sheet name="s" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f"<Relationships {relations}>"
        f'<Relationship Id="rId1" Type="{office}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="rId2" Type="{office}/sharedStrings" Target="sharedStrings.xml"/></Relationships>',
        "xl/sharedStrings.xml": f"<sst {space}>{''.join(f'<si><t>{text}</t></si>' for text in texts)}</sst>",
        "xl/worksheets/sheet1.xml": f"<worksheet {space}><sheetData>{''.join(lines)}</sheetData></worksheet>",
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return file.getvalue()


def as_parquet(frame: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.to_parquet(file)
    return file.getvalue()


def as_arrow() -> bytes:
    file = io.BytesIO()
    pyarrow.feather.write_feather(pa.Table.from_pandas(FRAME), file)
    return file.getvalue()


FORMS = {
    "t.csv": CSV.encode(),
    "t.csv.gz": gzip.compress(CSV.encode()),
    "utf16.txt": CSV.replace(",", "\t").encode("utf-16"),
    "t.parquet": as_parquet(FRAME),
    "t.parquet.gz": gzip.compress(as_parquet(FRAME)),
    "t.feather": as_arrow(),
    "t.xlsx": workbook([["Model", "Params (B)", "x"], ["a", 1, 0.5], ["b", 7, None]]),
    "t.json": json.dumps(RECORDS).encode(),
    "t.jsonl": "\n".join(map(json.dumps, RECORDS)).encode(),
    "columns.json": json.dumps({"Model": ["a", "b"], "Params (B)": [1, 7], "x": [0.5, None]}).encode(),
    "by_model.json": json.dumps({"a": {"Params (B)": 1, "x": 0.5}, "b": {"Params (B)": 7, "x": None}}).encode(),
    "t.md": MARKDOWN.encode(),
    "t.html": HTML.encode(),
    "turned.csv": b"benchmark,a,b\nx,0.5,\nParams (B),1,7\n",
    "long.csv": b"Model,Params (B),task,value\na,1,x,0.5\nb,7,x,\n",
}


@pytest.mark.parametrize("name", FORMS)
def test_all_forms_give_the_same_table(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(FORMS[name])
    table, lms = read_scores(path)
    assert (table.lms, table.benchmarks) == (("a", "b"), ("x",))
    np.testing.assert_array_equal(table.score, [[0.5], [np.nan]])
    np.testing.assert_array_equal(lms["params"], [1e9, 7e9])


def test_a_cell_at_the_far_end_of_a_sheet_costs_nothing(tmp_path: Path) -> None:
    rows = [["Model", "x", "y"], ["a", 0.5, 0.25], ["b", 0.75, 0.5]]
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook(rows))) as whole, zipfile.ZipFile(file, "w") as far:
        for name in whole.namelist():
            moved = whole.read(name).replace(b'<row r="3"', b'<row r="1048576"')
            for old, new in ((b"A3", b"A1048576"), (b"B3", b"B1048576"), (b"C", b"XFD"), (b"XFD3", b"XFD1048576")):
                moved = moved.replace(b'r="' + old, b'r="' + new)
            far.writestr(name, moved)
    path = tmp_path / "t.xlsx"
    path.write_bytes(file.getvalue())
    table, _ = read_scores(path)
    np.testing.assert_array_equal(table.score, [[0.5, 0.25], [0.75, 0.5]])


@pytest.mark.parametrize("frame", [FRAME, pa.Table.from_pandas(FRAME), FRAME.set_index("Model")], ids=["a", "b", "c"])
def test_frames_are_tables(frame: Any) -> None:
    table, lms = read_scores(frame)
    assert (table.lms, table.benchmarks) == (("a", "b"), ("x",))
    np.testing.assert_array_equal(lms["params"], [1e9, 7e9])


REFUSED: dict[str, tuple[bytes, str]] = {
    "t.zip": (b"PK\x03\x04nothing", "is a zip archive, .* unpack it"),
    "t.xls": (b"\xd0\xcf\x11\xe0\xa1", r"is an old Excel file \(.xls\), .* save it as .xlsx"),
    "t.bz2": (b"BZh91AY", "is a bzip2 file, .* unpack it with bunzip2"),
    "t.pkl": (b"\x80\x04\x95", "is a Python pickle"),
    "torn.csv.gz": (gzip.compress(CSV.encode())[:-9], "a whole gzip file"),
    "twice.gz": (gzip.compress(gzip.compress(b"x")), "found another gzip file"),
    "bomb.gz": (gzip.compress(b"0" * ((256 << 20) + 10), 1), "at most 128 MiB in the gzip file"),
    "zero.csv": (b"Model,x\na,\x00\n", "found a zero byte at 10"),
    "torn.xlsx": (workbook([["Model"], ["a"]])[:300], "is a zip archive"),
    "t.json": (b'{"a": 1', "line 1: expected JSON"),
    "deep.json": (b"[" * 100_000, "expected JSON"),
    "keys.json": (b'[{"lm": "a", "x": 1, "x": 2}]', "found 'x' twice"),
    "other.json": (b'{"what": 3}', "a JSON dict with the keys what; write the scores as a table"),
    "two.md": ((MARKDOWN + MARKDOWN).encode(), "expected one table, found several"),
    "ragged.md": (b"| a | b |\n|---|---|\n| 1 |\n", "line 3: expected 2 cells as in the header, found 1"),
    "none.html": (b"<html><table></table></html>", "expected one table, found none"),
}


def test_frames_of_polars_are_tables_whatever_their_types() -> None:
    frame = pl.DataFrame(
        {
            "model": ["a", "b", "c"],
            "family": pl.Series(["x", "y", None], dtype=pl.Categorical),
            "Params (B)": [1, 7, None],
            "mmlu": [50.1, None, 60.2],
            "arc": pl.Series(["40.5", "45.1", "50.3"]).cast(pl.Decimal(10, 2)),
            "open": [True, False, None],
            "tags": [["x"], [], ["y"]],
            "about": [{"a": 1}, {"a": 2}, {"a": 3}],
        }
    )
    for source in (frame, frame.to_arrow(), frame.to_pandas()):
        scores, lms = read_scores(source)
        assert scores.benchmarks == ("mmlu", "arc")
        np.testing.assert_allclose(scores.score, [[0.501, 0.405], [np.nan, 0.451], [0.602, 0.503]])
        assert list(lms["family"]) == ["x", "y", "c"]
        np.testing.assert_array_equal(lms["params"], [1e9, 7e9, np.nan])
    np.testing.assert_array_equal(csvjax.read_losses(frame[:2], columns=["Params (B)"]).loss, [[1], [7]])
    with pytest.raises(InputError, match="found LazyFrame; give one of them"):
        read_scores(frame.lazy())


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_understood_is_refused_with_what_it_is(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(REFUSED[name][0])
    with pytest.raises(InputError, match=REFUSED[name][1]) as caught:
        read_scores(path)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("Model;MMLU (5-shot, acc);ARC (25-shot, acc_norm)\na;0,5;0,4\nb;0,6;0,5\n", 3),
        ("Model;note\na;one, two\nb;three, four\n", 2),
        ("a,b;c,d\n1,2;3,4\n", 2),
        ("Model\tx, y\na\t0.5\n", 2),
        ('Model,"x;y;z;w"\na,0.5\n', 2),
    ],
)
def test_the_separator_is_the_one_that_explains_all_rows(tmp_path: Path, text: str, columns: int) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    assert len(read_raw(path).columns) == columns


def test_large_tables_are_the_same_by_the_fast_and_the_slow_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.csv"
    path.write_text('Model, x ,"y,z"\n' + "".join(f'"m ""{i}""", {i / 10},\n' for i in range(9)))
    slow = read_raw(path)
    monkeypatch.setattr("csvjax.data.delimited._LARGE", 0)
    fast = read_raw(path)
    assert fast.columns == slow.columns
    assert [list(column) for column in fast.cells] == [list(column) for column in slow.cells]
    assert list(fast.where) == list(slow.where)
    for text in ("Model,x\na,1\n\nb\n", 'Model,x\n"a\nb",1\n', "Model,x\na,1\n\nb,2"):
        path.write_text(text)
        told = []
        for large in (0, 10**9):
            monkeypatch.setattr("csvjax.data.delimited._LARGE", large)
            try:
                told.append(str(list(read_raw(path).where)))
            except InputError as error:
                told.append(str(error))
        assert told[0] == told[1]


def test_nested_columns_are_told(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(as_parquet(pd.DataFrame({"model": ["a", "b"], "x": [0.1, 0.2], "tags": [["p"], []]})))
    raw = read_raw(path)
    assert raw.columns == ("model", "x")
    assert raw.ignored == (("tags", "it holds lists or groups, not numbers"),)


def test_a_doubtful_number_is_one_question(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("Model;Params (M);x\na;350;50\nb;1,300;60\n")
    with pytest.raises(
        InputError, match=r"line 3, column 'Params \(M\)': .* with one meaning \(is it 1300 or 1.3\?\), found 1,300"
    ):
        read_scores(path)
    assert list(read_scores(path, decimal=".")[1]["params"]) == [350e6, 1300e6]
    assert list(read_scores(path, decimal=",")[1]["params"]) == [350e6, pytest.approx(1.3e6)]
    for mark, other in (("0.5", "0.6"), ("0,5", "0,6")):
        path.write_text(f"Model;Params (M);x\na;350;{mark}\nb;1{'.' if ',' in mark else ','}300;{other}\n")
        assert list(read_scores(path)[1]["params"]) == [350e6, 1300e6]


def test_more_rows_than_any_table_of_scores_has_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"model,x\n" + b"a,0.5\n" * 2_100_000, 1))
    with pytest.raises(InputError, match="at most 2,000,000 rows of scores, found 2,100,001"):
        read_raw(path)
