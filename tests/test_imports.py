"""Imports point one way: data -> law -> infer -> result and verbs -> baselines -> evaluate -> plot -> report -> cli."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "csvjax"
LEVELS = (
    # what all others may use
    (
        "atomic",
        "cluster",
        "compiled",
        "errors",
        "intervals",
        "memory",
        "names",
        "object_runs",
        "objects",
        "plain",
        "precision",
        "programs",
        "types",
    ),
    ("data", "lms"),  # language models know nothing of their losses, and data nothing of laws
    ("law", "losses"),
    ("infer", "ladder"),
    ("result", "scale"),
    ("fitting", "prediction", "target"),  # the verbs
    ("baselines",),
    ("evaluate",),
    ("runs",),
    ("plot",),
    ("report",),
    ("demo",),
    ("cli",),
)
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}
# Inside a level: which modules use which others of it.
BESIDE = {
    ("target", "prediction"),
    ("names", "errors"),
    ("objects", "errors"),
    ("memory", "errors"),
    ("object_runs", "objects"),
    ("object_runs", "errors"),
    ("object_runs", "atomic"),
    ("cluster", "errors"),
    ("cluster", "compiled"),
    ("compiled", "programs"),
    ("programs", "atomic"),
}


def part(module: str) -> str:
    """The folder or file of csvjax that a module belongs to; nothing for the package itself."""
    return module.split(".")[1] if "." in module else ""


def imported(path: Path) -> set[str]:
    """The parts of csvjax that a file imports, at its head, for types, or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {part(alias.name) for alias in node.names if alias.name.split(".")[0] == "csvjax"}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write the whole name of what is imported"
            assert node.module is not None
            if node.module == "csvjax":
                found |= {alias.name for alias in node.names}
            elif node.module.split(".")[0] == "csvjax":
                found.add(part(node.module))
    return found - {""}


FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def test_imports_point_one_way(path: Path) -> None:
    own = path.relative_to(ROOT).parts[0].removesuffix(".py")
    used = imported(path) - {own}
    for other in used:
        assert other in LEVEL, f"{other} has no level yet: add it to LEVELS"
        assert LEVEL[other] < LEVEL[own] or (own, other) in BESIDE, f"{own} imports {other}"


def test_every_part_has_a_level() -> None:
    parts = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in FILES}
    assert parts == set(LEVEL)
