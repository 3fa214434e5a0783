"""Runs at addresses of an object store: complete or absent, and read as if they were here."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import csvjax
from csvjax import object_runs, runs
from csvjax.errors import InputError
from csvjax.object_runs import local_run, uploaded
from csvjax.objects import Bucket, open_bucket
from tests.command_fit import fit_with, tables
from tests.command_line import Result, call
from tests.object_server import s3
from tests.test_cli_fit import fit_as_written

pytest.importorskip("obstore", reason="obstore is not installed, or does not exist for this Python")


def write(url: str, **files: str) -> None:
    with uploaded(url) as folder:
        for name, text in files.items():
            path = folder / name.replace("_", "/")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)


def read(url: str) -> dict[str, str]:
    with local_run(Path(url)) as folder:
        return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def attempt(work: Callable[[], Any]) -> Any:
    """What `work` returns, or the sentence of its error."""
    try:
        return work()
    except InputError as error:
        return str(error)


def test_a_run_comes_back_and_an_older_one_is_replaced() -> None:
    url = "memory://store/replaced"
    write(url, config="one", data_a="x", data_b="y")
    assert read(url) == {"config": "one", "data/a": "x", "data/b": "y"}
    write(url, config="two", data_a="z")
    assert read(url) == {"config": "two", "data/a": "z"}
    assert open_bucket(url).names() == ["complete.json", "config", "data/a"]


@pytest.mark.parametrize("older", [False, True], ids=["new", "older"])
def test_an_interrupted_upload_is_no_run(older: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stops at each of its requests in turn; the same upload again is complete."""
    real: dict[str, Any] = {name: getattr(Bucket, name) for name in ("put", "create", "delete")}
    left = [10**6]

    def limited(name: str) -> Any:
        def request(self: Bucket, *given: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise InputError("the network is gone")
            return real[name](self, *given)

        return request

    for name in real:
        monkeypatch.setattr(Bucket, name, limited(name))
    old, new = {"config": "old", "data/a": "x", "data/b": "y"}, {"config": "new", "data/a": "z"}
    for stop in range(20):
        url, left[0] = f"memory://store/cut-{older}-{stop}", 10**6
        if older:
            write(url, config="old", data_a="x", data_b="y")
        left[0] = stop
        said = attempt(lambda url=url: write(url, config="new", data_a="z"))
        left[0] = 10**6
        if said is None:
            break
        assert said == "the network is gone"
        found = attempt(lambda url=url: read(url))
        whole = new if open_bucket(url).get("complete.json") and stop > 2 else old  # only a note was to be deleted
        assert found == whole or "found an upload that was interrupted" in str(found) or (stop == 0 and not older)
        write(url, config="new", data_a="z")
        assert read(url) == new
    assert stop > 4


def test_a_changed_file_is_seen() -> None:
    url = "memory://store/changed"
    write(url, config="one", data_a="x")
    open_bucket(url).put("data/a", b"other")
    with pytest.raises(InputError, match=r"expected the whole run at .*, found data/a missing or changed"):
        read(url)
    open_bucket(url).delete("data/a")
    with pytest.raises(InputError, match="found data/a missing or changed"):
        read(url)


def test_two_commands_at_once_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "memory://store/two"
    create = Bucket.create

    def late(self: Bucket, name: str, data: bytes) -> bool:
        create(self, name, data)  # the other command was first
        return create(self, name, data)

    monkeypatch.setattr(Bucket, "create", late)
    with pytest.raises(InputError, match="found a run that was completed meanwhile"):
        write(url, config="one")


@pytest.mark.parametrize("name", ["../../elsewhere", "/etc/passwd", "a\\b"])
def test_names_cannot_leave_the_folder(name: str) -> None:
    url = f"memory://store/names{len(name)}"
    mark = {"format": object_runs._FORMAT, "files": {name: "0"}}
    open_bucket(url).put("complete.json", json.dumps(mark).encode())
    with pytest.raises(InputError, match="expected files in the folder of the run"):
        read(url)


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000, '{"format": "other", "files": {}}'])
def test_a_damaged_list_of_files_is_one_sentence(text: str) -> None:
    url = f"memory://store/list{len(text)}"
    open_bucket(url).put("complete.json", text.encode())
    with pytest.raises(InputError, match="expected a list of files in"):
        read(url)


def test_other_objects_are_not_replaced() -> None:
    url = "memory://store/others"
    open_bucket(url).put("notes.txt", b"mine")
    with pytest.raises(InputError, match=r"nothing or an older run to replace at .*, found notes.txt"):
        runs.check_run(Path(url))
    with pytest.raises(InputError, match=r"expected a run of csvjax at .*, found none"):
        csvjax.load(url)


@pytest.fixture(scope="module", params=["memory", "s3"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "memory":
        yield "memory://store/whole"
        return
    with s3() as host, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}")
        for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"), ("REGION", "us-east-1")):
            patch.setenv(f"AWS_{name}", value)
        yield "s3://bucket/deep/whole"


def test_commands_write_and_read_a_run_at_an_address(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables(tmp_path)
    monkeypatch.setattr("csvjax.fitting.fit", fit_as_written)
    options = ("--holdout", "flops > 3e23", "--targets", "fair,hard", "--capabilities", "1", "--method", "laplace")
    here: Result = call(*fit_with(tmp_path, *options, "--out", tmp_path / "run"))
    there: Result = call(*fit_with(tmp_path, *options, "--out", url))
    assert (here.exit_code, there.exit_code) == (0, 0), there.output
    assert f"run: {url}" in there.stdout
    for command in (("predict",), ("inspect",), ("predict", "--flops", "1e26")):
        one, two = (call(command[0], place, *command[1:]) for place in (tmp_path / "run", url))
        assert (one.exit_code, two.exit_code) == (0, 0), two.output
        assert one.stdout == two.stdout
    np.testing.assert_array_equal(csvjax.load(url).x, csvjax.load(tmp_path / "run").x)
    done = call("report", url)
    assert done.exit_code == 2
    assert "expected a local path for the run that gets a page" in done.stderr
    shutil.rmtree(tmp_path / "run")
