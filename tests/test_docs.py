"""The README and the pages of docs/: commands exist with their options, links lead somewhere, and code runs.

Blocks that are not marked as long are executed, page by page, in a folder that has the example tables. Pages with fits
run in slow tests: once with the search for the mode replaced, so that parameters are written down
(`tests.result.conftest.written`), and two pages with their searches.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

import csvjax
from csvjax.baselines import BY_NAME, METHODS
from csvjax.cli import app
from csvjax.data.dataset import Dataset
from csvjax.data.models import read_models
from csvjax.data.registry import read_registry
from csvjax.fitting import default_law
from experiments import tables
from tests.notebook import NOTEBOOK, executed
from tests.pages import PAGES, ROOT, blocks, commands
from tests.result.conftest import written

LINES = sorted({line for page in PAGES for b in blocks(page) if b.kind == "bash" for line in commands(b)})
PYTHON = [(page, block.text) for page in PAGES for block in blocks(page) if block.kind == "python"]
EXECUTED = [
    page
    for page in PAGES
    if page.name != "CONTRIBUTING.md" and any(b.kind in ("bash", "python") and not b.long for b in blocks(page))
]
QUICK = {"inference.md", "ladder.md", "missing-data.md"}
"""Pages on which nothing is fitted or predicted, so that nothing has to be compiled."""


def words_of(line: str) -> list[str]:
    words = shlex.split(line)
    words[0] = words[0].removeprefix(".venv/bin/")
    return words


def test_blocks_are_of_known_kinds() -> None:
    for page in PAGES:
        assert {block.kind for block in blocks(page)} <= {"bash", "python", "text", "toml"}, page
        assert page.read_text(encoding="utf-8").count("```") == 2 * len(blocks(page)), page


def test_files_of_benchmarks_and_models_can_be_read(tmp_path: Path) -> None:
    readers = {"benchmarks.toml": read_registry, "models.toml": read_models}
    header = json.dumps({"w": {"dtype": "BF16", "shape": [3]}}).encode()
    for page in PAGES:
        for text in (block.text for block in blocks(page) if block.kind == "toml"):
            path = tmp_path / text.splitlines()[0].removeprefix("# ")
            path.write_text(text, encoding="utf-8")
            for folder in re.findall(r'checkpoint = "(.*)"', text):
                (tmp_path / folder).mkdir(parents=True)
                (tmp_path / folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
            assert readers[path.name](path)


@pytest.mark.parametrize("line", LINES)
def test_commands_exist_with_their_options(line: str) -> None:
    words = words_of(line)
    if words[0] == "make":
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert re.search(rf"^{words[1]}:", makefile, flags=re.MULTILINE)
    elif words[0] == "python":
        assert words[1] == "-m"
        path = ROOT / Path(*words[2].split(".")).with_suffix(".py")
        assert words[2] in path.read_text(encoding="utf-8").split('"""')[1]
    else:
        assert words[0] == "csvjax"
        below = words[1] == "salience" or (words[1] == "losses" and words[2] in ("show", "drop", "join"))
        names = words[1:3] if below else words[1:2]
        said = CliRunner().invoke(app, [*names, "--help"], env={"COLUMNS": "200"}).stdout
        for option in (word for word in words if word.startswith("--")):
            assert re.search(rf"{option}(?![\w-])", said), f"{option} in {line}"


@pytest.mark.parametrize(("page", "code"), PYTHON, ids=[f"{p.name}-{i}" for i, (p, _) in enumerate(PYTHON)])
def test_python_uses_public_names(page: Path, code: str) -> None:
    for node in ast.walk(ast.parse(code, str(page))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "csvjax":
            assert node.attr in csvjax.__all__, f"{page}: csvjax.{node.attr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), f"{page}: {target}"


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = set(re.findall(r"[\w-]+\.md", text))
    assert named == {page.name for page in (ROOT / "docs").glob("*.md")}


def test_the_page_of_methods_has_all_of_them_with_their_measured_coverage() -> None:
    """The shares inside 90 % intervals are those of the second table of the leaderboard."""
    page = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([\w-]+)`", row[0])}
    assert named | {"pca-2", "pca-3"} == set(METHODS | BY_NAME)
    table = tables.interval_table(tables.results("leaderboard"))
    measured = {
        cells[1].strip(): " / ".join(cell.strip().removesuffix("%") for cell in cells[3:8:2])
        for cells in (line.split("|") for line in table if line.startswith("| "))
    }
    shown = {name: row[-1] for row in rows if (name := row[0].strip("`")) in measured}
    assert len(shown) >= 14
    assert shown == {name: measured[name] for name in shown}


def fit_as_written(data: Dataset, law: csvjax.Law | None = None, *, seen: Any = None, **rest: object) -> csvjax.Result:
    assert data.scores is not None
    mask = np.isfinite(data.scores.score) if seen is None else seen
    return written(data, mask, default_law(data) if law is None else law)


def run_page(page: Path, folder: Path) -> dict[str, Any]:
    """Execute the blocks of a page in `folder` that are not long, in their order; the names that its Python made."""
    (folder / "docs").symlink_to(ROOT / "docs")
    names: dict[str, Any] = {}
    for block in blocks(page):
        if block.long:
            continue
        if block.kind == "python":
            exec(compile(block.text, str(page), "exec"), names)
        elif block.kind == "bash":
            for words in map(words_of, commands(block)):
                if words[0] == "csvjax":
                    done = CliRunner().invoke(app, words[1:])
                    assert done.exit_code == 0, f"{' '.join(words)}: {done.output}"
    return names


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, id=page.name, marks=() if page.name in QUICK else pytest.mark.slow) for page in EXECUTED],
)
def test_pages_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(csvjax, "fit", fit_as_written)  # first: it is looked up in its module when it is first used
    monkeypatch.setattr("csvjax.fitting.fit", fit_as_written)
    run_page(page, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["README.md", "docs/first-forecast.md"])
def test_pages_run_with_their_searches(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_page(ROOT / name, tmp_path)
    predicted = names["predicted"]
    assert names["fit"].status.ok
    assert len(predicted) == 15  # three models, five benchmarks
    assert ((predicted["lower90"] >= 0) & (predicted["upper90"] <= 1)).all()
    if "again" in names:
        assert names["again"].law == names["fit"].law


def test_versions_agree() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    found = re.search(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert found is not None
    assert found[1] == version
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == version


def test_the_package_has_types() -> None:
    assert (ROOT / "csvjax" / "py.typed").is_file()


def test_forms_and_workflows_can_be_read() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict), path


def test_the_notebook_was_executed_and_shows_no_error() -> None:
    found = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell for cell in found.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    shown = [output for cell in cells for output in cell.outputs]
    assert not [output for output in shown if output.output_type == "error" or output.get("name") == "stderr"]
    text = json.dumps(shown)
    assert "csvjax prediction: 15 predicted scores" in text
    assert text.count("application/vnd.plotly.v1+json") == 2
    assert str(ROOT) not in text
    for cell in cells:
        test_python_uses_public_names(NOTEBOOK, cell.source)


@pytest.mark.slow
def test_the_notebook_runs_and_says_what_it_shows() -> None:
    """The same rows and figures; numbers of another processor may differ in their last digits."""
    before, after = nbformat.read(NOTEBOOK, as_version=4), executed()
    for old, new in zip(before.cells, after.cells, strict=True):
        kinds = [[(o.output_type, sorted(o.get("data", {}))) for o in cell.get("outputs", [])] for cell in (old, new)]
        assert kinds[0] == kinds[1]
    assert "converged" in json.dumps(after.cells)
