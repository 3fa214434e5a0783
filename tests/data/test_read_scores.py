import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from csvjax.data.read_scores import read_scores
from csvjax.errors import InputError

WIDE = "Model,Model Family,Model Size (B),Pretraining Data Size (T),FLOPs (1E21),MMLU,ARC\n"


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def to_file(text: str | bytes, name: str = "scores.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return to_file


def test_a_wide_file_gives_scores_and_covariates_in_units_of_one(write: Any) -> None:
    table, lms = read_scores(write(WIDE + "a,F,7,2,84,0.25,\nb,,,1,,,0.5\nc,G,2,0.5,,1,0\n"))
    assert (table.lms, table.benchmarks) == (("a", "b", "c"), ("MMLU", "ARC"))
    np.testing.assert_array_equal(table.score, [[0.25, np.nan], [np.nan, 0.5], [1, 0]])
    assert lms.index.name == "lm"
    assert list(lms["family"]) == ["F", "b", "G"]  # a model of unknown family is its own
    np.testing.assert_allclose(lms["params"], [7e9, np.nan, 2e9])
    np.testing.assert_allclose(lms["tokens"], [2e12, 1e12, 5e11])
    np.testing.assert_allclose(lms["flops"], [84e21, np.nan, 6 * 2e9 * 5e11])  # the last one is 6 N D


def test_a_long_file_gives_the_same_table_in_any_order_of_its_rows(write: Any) -> None:
    rows = ["a,x,0.5,100,0.25,F", "b,y,0.1,,0,G", "a,y,,50,,F", "b,x,1,100,,G"]
    header = "lm,benchmark,score,n_items,floor,family\n"
    table, lms = read_scores(write(header + "\n".join(rows)))
    np.testing.assert_array_equal(table.score, [[0.5, np.nan], [1, 0.1]])
    np.testing.assert_array_equal(table.n_items, [100, 50])
    np.testing.assert_array_equal(table.floor, [0.25, 0])
    assert list(lms["family"]) == ["F", "G"]
    again, _ = read_scores(write(header + "\n".join(reversed(rows))))
    np.testing.assert_array_equal(again.select(lms=table.lms, benchmarks=table.benchmarks).score, table.score)


def test_a_long_file_keeps_models_without_the_wanted_benchmarks_and_skips_the_other_rows(write: Any) -> None:
    path = write("lm,benchmark,score\na,x,0.5\nb,elo,1200\n")
    table, lms = read_scores(path, benchmarks=["x"])
    np.testing.assert_array_equal(table.score, [[0.5], [np.nan]])
    assert list(lms.index) == ["a", "b"]
    assert read_scores(path)[0].benchmarks == ("x",)
    with pytest.raises(InputError, match="line 3, column 'score': expected a score between 0 and 100, found 1200"):
        read_scores(path, benchmarks=["elo"])


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffModel,x\na,0.5\nb,\n",
        "Model,x\r\na,0.5\r\nb,\r\n",
        "Model\tx\na\t0.5\nb\tNA\n",
        "Model;x\na;0.5\nb;\n",
        "Model;x\na;0,5\nb;n/a\n",
        "\n,Model,x\n0,a,0.5\n,,\n1,b,nan\n\n",
        ",x\na,0.5\nb,\n",
        'Model,x,note\n" a ", 0.5 ,"good, but\nold"\nb,null,\n',
        'Model,x\na,"0,5"\nb,-\n',
        "Model|x\na|50%\nb|N/A\n",
        "sep=;\nModel;x\na;0,5\nb;\n",
    ],
    ids=[
        "BOM",
        "CRLF",
        "tabs",
        "semicolons",
        "decimal comma",
        "index and blank rows",
        "names in the index",
        "quotes",
        "comma in quotes",
        "bars, percent and N/A",
        "first line of Excel",
    ],
)
def test_the_usual_dialects_all_give_the_same_table(write: Any, text: str) -> None:
    table, _ = read_scores(write(text))
    assert (table.lms, table.benchmarks) == (("a", "b"), ("x",))
    np.testing.assert_array_equal(table.score, [[0.5], [np.nan]])


@pytest.mark.parametrize("index", [["a", "b"], [0, 1]])
def test_parquet_reads_as_csv_does(tmp_path: Path, index: list[Any]) -> None:
    frame = pd.DataFrame({"x": [0.1, None], "Params (M)": [30, 70]}, index)
    if index == [0, 1]:
        frame.insert(0, "model", ["a", "b"])
    frame.to_parquet(tmp_path / "t.parquet")
    table, lms = read_scores(tmp_path / "t.parquet")
    assert (table.lms, table.benchmarks) == (("a", "b"), ("x",))
    np.testing.assert_array_equal(table.score, [[0.1], [np.nan]])
    np.testing.assert_array_equal(lms["params"], [30e6, 70e6])


def test_units_are_those_given_then_those_of_the_name(write: Any) -> None:
    path = write("model,#Params (B),x\na,7,55.3\n")
    table, lms = read_scores(path, score_unit="percent")
    assert (lms["params"].item(), table.score.item()) == (7e9, pytest.approx(0.553))
    _, lms = read_scores(path, params_unit=1e6, score_unit=0.01)
    assert lms["params"].item() == 7e6
    assert read_scores(path)[0].score.item() == pytest.approx(0.553)
    with pytest.raises(InputError, match=r"between 0 and 1, found 55.3; use score_unit=.percent."):
        read_scores(path, score_unit=1)
    with pytest.raises(InputError, match=r"unit such as \(M\), \(B\) or \(1E21\), found \(weights\).*params_unit"):
        read_scores(write("model,params (weights),x\na,7,0.5\n"))


def test_floors_and_items_given_go_before_those_of_the_file(write: Any) -> None:
    path = write("lm,benchmark,score,n_items,floor\na,x,0.5,10,0.1\na,y,0.5,20,0.2\n")
    table, _ = read_scores(path, n_items={"y": 99}, floors={"x": 0.25})
    np.testing.assert_array_equal(table.n_items, [10, 99])
    assert np.isnan(read_scores(write("Model,x\na,0.5\n"))[0].floor).all()  # nobody said that it is 0
    np.testing.assert_array_equal(table.floor, [0.25, 0.2])
    with pytest.raises(InputError, match="no benchmark for floors named 'X': the nearest is 'x'"):
        read_scores(path, floors={"X": 0.25})


def test_floors_and_ceilings_that_are_not_known_are_nan(write: Any) -> None:
    path = write("lm,benchmark,score,floor,ceiling\na,x,0.5,,0.9\na,y,0.5,0.2,\n")
    table, _ = read_scores(path)
    np.testing.assert_array_equal(table.floor, [np.nan, 0.2])
    np.testing.assert_array_equal(table.ceiling, [0.9, np.nan])
    table, _ = read_scores(path, floors={"y": float("nan")}, ceilings={"y": 0.8})
    np.testing.assert_array_equal(table.floor, [np.nan, np.nan])
    np.testing.assert_array_equal(table.ceiling, [0.9, 0.8])


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        ("Model,x\na,0.5\nb,bad\nc,1\n", {}, "line 3, column 'x': expected a number or a blank, found bad"),
        (
            "Model,x\na,bad\nb,0.5\nc,1\n",
            {},
            r"line 2, column 'x': expected a number or a blank, found bad; .*benchmarks=",
        ),
        ("Model,x\na,0.5 (0.1)\n", {}, "line 2, column 'x': expected a number"),
        ("Model,x\na,1_0\nb,0.1\n", {}, "line 2, column 'x': expected a number"),
        ("Model,x\na,0.5\nb,inf\n", {}, "line 3, column 'x': expected a finite number, found inf"),
        ("Model,x\na,0.5\nb,-0.1\n", {}, "line 3, column 'x': expected a score between 0 and 1, found -0.1"),
        ("Model,x,epoch\na,0.5,3\n", {"benchmarks": ["epoch"]}, r"column 'epoch'.*up to 3 .*score_unit="),
        ("Model,epoch\na,3\n", {}, r"found none among 'Model', 'epoch': epoch \(it is a setting\); .*benchmarks="),
        ("Model,x\na,0.5\n\na,0.6\n", {}, "line 4, column 'Model': expected one row .* first at line 2, found a"),
        ("Model,x\n,0.5\n", {}, "line 2, column 'Model': expected the name of a model, found a blank"),
        ("Model,x,x\na,0.5,1\n", {}, "found 2 columns named 'x'"),
        ("Model,,\na,0.5,0.7\n", {}, "found 2 columns without a name"),
        ("Model,x\na,0.5\nb\n", {}, "line 3: expected 2 cells as in the header, found 1"),
        ('Model,x\na,"0.5\n', {}, "line 2: expected cells separated by ','"),
        ("Model,x\n", {}, "expected a header and at least one row, found only a header"),
        ("", {}, "expected a header and at least one row, found nothing"),
        ("\n \n", {}, "found nothing"),
        (b"M\xe9\n", {}, "expected text in UTF-8 or parquet, found byte 0xe9 at 1"),
        (b"\xff\xfeM", {}, "expected text in UTF-16 as its first bytes say"),
        (b"PAR1 but not really", {}, "expected a whole parquet file"),
        ("who,x\na,0.5\n", {}, "column of model names .* found 'who', 'x'; name it with lm_column"),
        ("Model,x\na,0.5\n", {"family_column": "Familly"}, "expected a column 'Familly', found none"),
        ("Model,Family,x\na,f,0.5\n", {"family_column": "Familly"}, "the nearest is 'Family'"),
        ("Model,x\na,0.5\n", {"benchmarks": ["X"]}, "expected a column 'X', found none: the nearest is 'x'"),
        ("Model,x\na,0.5\n", {"benchmarks": []}, "list of at least one name"),
        ("Model,x\na,0.5\n", {"benchmarks": ["x", "x"]}, "each benchmark once"),
        ("Model,x\na,0.5\n", {"score_unit": 0.0}, "above 0, found 0.0; give the unit .* with score_unit=..."),
        ("Model,x\na,0.5\n", {"n_items": {"x": 0}}, "at least 1 test item, found 0 for benchmark 'x'"),
        ("Model,note\na,good\n", {}, "at least one column of scores, found none among 'Model', 'note'"),
        ("Model,Params (B),params,x\na,1,1,1\n", {}, r"one column of params, found .*; choose one with params_column"),
        ("Model,tokens,x\na,0,1\n", {}, "line 2, column 'tokens': expected a number above 0, found 0"),
        (
            "lm,benchmark,score\na,x,0.5\na,x,0.6\n",
            {},
            "line 3, column 'benchmark': expected one row for each benchmark",
        ),
        ("lm,benchmark,score\na,,0.5\n", {}, "line 2, column 'benchmark': expected the name of a benchmark"),
        (
            "lm,benchmark,score,n_items\na,x,0.5,9\nb,x,1,8\n",
            {},
            "line 3, column 'n_items': expected the same value in all rows of bench",
        ),
        (
            "lm,benchmark,score,family\na,x,0,F\na,y,1,G\n",
            {},
            "column 'family': expected the same value in all rows of lm 'a', the first",
        ),
        (
            "lm,benchmark,score\na,x,0.5\n",
            {"benchmarks": ["xx"]},
            "found no benchmark named 'xx': the nearest is 'x'",
        ),
    ],
)
def test_a_faulty_file_is_refused_with_one_sentence(write: Any, text: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        read_scores(write(text), **options)
    assert "\n" not in str(caught.value)
    assert ". " not in str(caught.value)


def test_paths_that_are_no_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder, expected a CSV"):
        read_scores(tmp_path)
    with pytest.raises(InputError, match=r"found no file .*nope.csv; check the path"):
        read_scores(tmp_path / "nope.csv")


printed = st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"])  # spaces at the ends of cells do not count


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(st.text(printed, min_size=1, max_size=10), min_size=1, max_size=6, unique=True),
    cells=st.lists(st.none() | st.floats(0, 1), min_size=6, max_size=6),
    separator=st.sampled_from(",;\t"),
    mark=st.sampled_from(["", "\ufeff"]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_names_in_any_script_and_scores_to_the_last_bit_survive_any_dialect(
    tmp_path: Path, names: list[str], cells: list[float | None], separator: str, mark: str, end: str
) -> None:
    path = tmp_path / "any.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(mark)
        writer = csv.writer(file, delimiter=separator, lineterminator=end)
        writer.writerow(["Model", "x", "y"])
        writer.writerows(
            (name, "" if cell is None else repr(cell), 1) for name, cell in zip(names, cells, strict=False)
        )
    table, _ = read_scores(path, benchmarks=["y", "x"])
    assert table.lms == tuple(names)
    expected = [np.nan if cell is None else cell for cell in cells[: len(names)]]
    np.testing.assert_array_equal(table.score[:, 1], expected)


def test_the_observational_tables_are_read(public_data: Path) -> None:
    folder = public_data / "obsscaling"
    table, lms = read_scores(folder / "base_llm_benchmark_eval.csv")
    assert table.score.shape == (148, 8)
    assert table.benchmarks[0] == "MMLU"
    row = table.lms.index("meta-llama/Llama-2-70b-hf")
    assert table.score[row, 0] == 0.6983208921288624
    assert list(lms.loc["meta-llama/Llama-2-70b-hf"]) == ["Llama-2", 70e9, 2e12, pytest.approx(840e21)]
    table, lms = read_scores(folder / "instruct_llm_benchmark_eval.csv")
    assert table.score.shape == (27, 9)
    assert lms["flops"].isna()["gpt-4-0613"]
    table, _ = read_scores(folder / "instruct_llm_agent_eval.csv", score_unit="percent")
    assert table.score.shape == (27, 29)
    assert table.select(["gpt-4-0613"], ["ABench-Code_OS"]).score.item() == 0.424
    table, _ = read_scores(folder / "base_llm_emergent_capability_eval.csv")
    assert table.select(benchmarks=["ipa_transliterate_2_bleu"]).score[0, 0] == pytest.approx(0.2723879)
    table, _ = read_scores(folder / "base_llm_emergent_capability_eval.csv", benchmarks=["arithmetic_3ds_2_acc"])
    assert (table.score.shape, table.score[0, 0]) == ((84, 1), 0.859)
    header = pd.read_csv(folder / "base_llm_post_training_eval.csv", nrows=0).columns[1:]
    accuracy = [column for column in header if not column.endswith(",norm")]
    table, _ = read_scores(folder / "base_llm_post_training_eval.csv", benchmarks=accuracy)
    assert table.score.shape == (96, len(accuracy))


def test_the_leaderboard_table_of_sloth_is_read(public_data: Path) -> None:
    path = public_data / "sloth" / "data_v2.csv"
    table, lms = read_scores(path, benchmarks=["MMLU", "BBH"], floors={"MMLU": 0.25})
    assert table.score.shape == (188, 2)
    assert list(lms.loc["bloom"]) == ["bloom", 176e9, pytest.approx(0.366e12), pytest.approx(386.496e21)]
    everything, _ = read_scores(path)
    assert {"MMLU", "BBH", "IFEval"} < set(everything.benchmarks)
    assert np.nanmin(everything.score) >= 0


def test_task_scores_of_the_open_lm_runs_are_read(public_data: Path) -> None:
    path = public_data / "losses" / "openlm_scaling_104.csv"
    header = pd.read_csv(path, nrows=0).columns
    tasks = [column for column in header if column.startswith("acc|")]
    table, lms = read_scores(path, family_column="dataset", benchmarks=tasks)
    assert table.score.shape == (104, 46)
    first = lms.iloc[0]
    assert (first["family"], first["params"], first["tokens"]) == ("c4_original", 411616256, 2058081280)
    assert first["flops"] == pytest.approx(6 * 411616256 * 2058081280)
    table, _ = read_scores(public_data / "losses" / "gemstones_lighteval.parquet")
    assert table.select(["Gemstone-1024x28-main"], ["mmlu", "arc:easy"]).score[0, 1] == 0.541
