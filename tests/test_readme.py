"""What the README says can be done: its commands exist with their options, its make targets too, and its code runs."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = [line.split("#")[0].strip() for kind, text in BLOCKS if not kind for line in text.splitlines()]


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = [line.split()[1] for line in COMMANDS if line.startswith("make ")]
    assert targets == ["demo", "test"]
    for target in targets:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)


@pytest.mark.parametrize("line", [line for line in COMMANDS if "/csvjax " in line])
def test_commands_and_options_exist(line: str) -> None:
    words = shlex.split(line)
    said = subprocess.run(
        [sys.executable, "-m", "csvjax.cli", words[1], "--help"], capture_output=True, text=True, check=True
    ).stdout
    for option in (word for word in words if word.startswith("--")):
        assert option in said


@pytest.mark.parametrize("line", [line for line in COMMANDS if " -m experiments." in line])
def test_experiments_exist(line: str) -> None:
    words = shlex.split(line)
    path = ROOT / Path(*words[words.index("-m") + 1].split(".")).with_suffix(".py")
    docstring = path.read_text(encoding="utf-8").split('"""')[1]
    assert words[words.index("-m") + 1] in docstring


@pytest.mark.slow
def test_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = [text for kind, text in BLOCKS if kind == "python"]
    names: dict[str, Any] = {}
    exec(code, names)
    table, hidden = names["table"], int((~names["seen"]).sum())
    assert len(table) == hidden == 13 * int(names["fold"].test.sum())
    assert ((table["lower90"] >= 0) & (table["lower90"] <= table["upper90"]) & (table["upper90"] <= 1)).all()
    assert len(names["salience"]) == 13 * 26_560
    assert names["again"].law == names["fit"].law
