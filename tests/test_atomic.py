import os
from pathlib import Path
from typing import Any

import pytest

from csvjax.atomic import replacing


def test_a_file_appears_whole_and_replaces_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    for text in ("one", "two"):
        with replacing(path) as part:
            assert part.parent == path.parent
            part.write_text(text)
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_is_replaced_with_all_that_was_in_it(tmp_path: Path) -> None:
    path = tmp_path / "store"
    for name in ("one", "two"):
        with replacing(path) as part:
            part.mkdir()
            (part / name).touch()
    assert [found.name for found in path.iterdir()] == ["two"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("folder", [True, False])
def test_after_a_failure_the_old_one_stands_and_nothing_lies_beside_it(tmp_path: Path, folder: bool) -> None:
    path = tmp_path / "it"
    path.write_text("old")

    def fail(part: Path) -> None:
        if folder:
            part.mkdir()
            part = part / "chunk"
        part.write_text("half")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"), replacing(path) as part:
        fail(part)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run"
    path.mkdir()
    (path / "old").touch()
    move = os.replace

    def interrupted(source: Any, target: Any) -> None:
        if target == path and ".part." in str(source):
            raise KeyboardInterrupt
        move(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt), replacing(path) as part:
        part.mkdir()
    assert [found.name for found in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]
