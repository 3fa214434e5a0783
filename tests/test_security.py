"""What comes with data is never executed, and names in data never lead out of the output folder."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from typer.testing import CliRunner

import csvjax
from csvjax.cli import app
from csvjax.data.read_losses import read_losses
from tests.lms.small import write_checkpoint

FILES = sorted(Path(csvjax.__file__).parent.rglob("*.py"))
FORBIDDEN = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve", "cloudpickle", "torch"}


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_nothing_that_is_read_can_run_code(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert not {alias.name.split(".")[0] for alias in node.names} & FORBIDDEN
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in FORBIDDEN
        elif isinstance(node, ast.Call):
            given = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
            assert not given.get("allow_pickle")
            assert not given.get("trust_remote_code")
            if isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec", "__import__")
            elif isinstance(node.func, ast.Attribute):
                owner = getattr(node.func.value, "id", "")
                assert (owner, node.func.attr) not in {("pd", "read_pickle"), ("os", "system")}
                if (owner, node.func.attr) == ("yaml", "load"):  # with a loader that makes no objects
                    source = path.read_text(encoding="utf-8")
                    assert "CSafeLoader" in source
                    assert "FullLoader" not in source
                assert node.func.attr not in ("extractall", "unpack_archive")


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_names_of_models_and_documents_stay_inside_the_store(tmp_path: Path) -> None:
    lm = write_checkpoint(tmp_path / "in" / "m0")
    (tmp_path / "in" / "a.jsonl").write_text('{"text": "they say", "name": "../../../doc", "domain": "/../up"}\n')
    before = tree(tmp_path)
    words = ["--lm", f"../../evil={lm}", "--text", str(tmp_path / "in" / "a.jsonl")]
    done = CliRunner().invoke(app, ["losses", *words, "--out", str(tmp_path / "out" / "s.zarr")])
    assert done.exit_code == 0, done.output
    assert read_losses(tmp_path / "out" / "s.zarr").lms == ("../../evil",)
    assert all(name == "out" or name.startswith("out/s.zarr") for name in tree(tmp_path) - before)


def test_names_in_tables_stay_inside_the_run(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    names = ["../../evil", "/evil", "..", "a/b", "c\\d", "%2e%2e", "m6", "m7"]
    rows = [f"{name},../../f{i % 4},{i + 1}e20,0.{i + 1}5,0.{i + 1}1" for i, name in enumerate(names)]
    (tmp_path / "in" / "s.csv").write_text("\n".join(["model,family,flops,../../bench,x/y", *rows]) + "\n")
    before = tree(tmp_path)
    given = ["--scores", str(tmp_path / "in" / "s.csv"), "--methods", "family-mean", "--split", "models:2"]
    done = CliRunner().invoke(app, ["compare", *given, "--out", str(tmp_path / "out" / "run")])
    assert done.exit_code == 0, done.output
    assert all(name == "out" or name.startswith("out/run") for name in tree(tmp_path) - before)
    assert {Path(name).suffix for name in tree(tmp_path / "out" / "run")} <= {
        "",
        ".csv",
        ".parquet",
        ".json",
        ".jsonl",
        ".html",
    }
