"""Public tables: checked, cached, and told where to put them when there is no network."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from csvjax.cli import app
from csvjax.data import public
from csvjax.data.public import PublicTable
from csvjax.errors import InputError

CONTENT = b"model,x\na,0.5\nb,0.6\n"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A repository at a server of this machine: the folder that it serves. The cache is empty."""
    folder = tmp_path / "served" / "me" / "tables" / "c0ffee" / "data"
    folder.mkdir(parents=True)
    (folder / "t.csv").write_bytes(CONTENT)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "served")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    table = PublicTable("mine", "me/tables", "c0ffee", "MIT", "two models", "of_mine", {"data/t.csv": DIGEST})
    monkeypatch.setattr(public, "public_tables", lambda: {"mine": table})
    monkeypatch.setattr(public, "_URL", f"http://127.0.0.1:{server.server_port}/{{repository}}/{{commit}}/{{path}}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CSVJAX_DATA", raising=False)
    yield folder
    server.shutdown()
    server.server_close()


def test_a_table_is_downloaded_once(served: Path) -> None:
    table, (path,) = public.fetch("mine")
    assert path.read_bytes() == CONTENT
    assert (table.licence, path.parent.name) == ("MIT", "of_mine")
    (served / "t.csv").unlink()
    assert public.fetch("mine")[1] == [path]


def test_other_content_is_refused_and_not_kept(served: Path, tmp_path: Path) -> None:
    (served / "t.csv").write_bytes(CONTENT + b"c,0.7\n")
    with pytest.raises(InputError, match="found another file"):
        public.fetch("mine")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_without_a_network_it_says_where_to_put_the_file(
    served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public, "_URL", "http://127.0.0.1:9/{repository}/{commit}/{path}")
    with pytest.raises(
        InputError,
        match=r"save this file as FOLDER/of_mine/t\.csv in a folder of your choice, and set CSVJAX_DATA to FOLDER",
    ):
        public.fetch("mine")
    monkeypatch.setenv("CSVJAX_DATA", str(tmp_path / "own"))
    with pytest.raises(InputError, match=rf"save this file as {tmp_path / 'own'}/of_mine/t\.csv"):
        public.fetch("mine")
    place = tmp_path / "own" / "of_mine" / "t.csv"
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    assert public.fetch("mine")[1] == [place]
    place.write_bytes(b"model,x\n")
    with pytest.raises(InputError, match="found a file with other content"):
        public.fetch("mine")


def test_the_command_names_files_and_licence(served: Path) -> None:
    done = CliRunner().invoke(app, ["fetch", "mine"])
    (path,) = public.fetch("mine")[1]
    assert done.stdout == f"{path}\n"
    assert "licence MIT" in done.stderr
    told = json.loads(CliRunner().invoke(app, ["fetch", "mine", "--json"]).stdout)
    assert (told["files"], told["table"]["commit"]) == ([str(path)], "c0ffee")
    done = CliRunner().invoke(app, ["fetch", "mein"])
    assert (done.exit_code, "the nearest is 'mine'" in done.stderr) == (2, True)


def test_a_table_of_many_files_keeps_its_folders(served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [f"data/{part}/{i}.csv" for part in ("evals", "models") for i in range(15)]
    for path in paths:
        (served.parent / path).parent.mkdir(exist_ok=True)
        (served.parent / path).write_bytes(CONTENT)
    table = PublicTable("mine", "me/tables", "c0ffee", "MIT", "many", "of_mine", dict.fromkeys(paths, DIGEST), "data")
    monkeypatch.setattr(public, "public_tables", lambda: {"mine": table})
    done = CliRunner().invoke(app, ["fetch", "mine"])
    folder = Path(done.stdout.strip())
    assert folder.name == "of_mine"
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.csv")) == sorted(
        path.removeprefix("data/") for path in paths
    )


def test_the_catalogue_is_that_of_the_public_files(public_data: Path) -> None:
    for table in public.public_tables().values():
        assert len(table.commit) == 40
        for path, digest in table.files.items():
            place = public_data / table.folder / table.place(path)
            if table.name == "openlm" and not place.is_file():
                continue  # 208 small files, which the folder need not have
            assert hashlib.sha256(place.read_bytes()).hexdigest() == digest
    assert CliRunner().invoke(app, ["fetch"]).stdout.count("\n") >= len(public.public_tables())
