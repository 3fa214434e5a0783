"""One run folder and its page for all tests of the report; a test that changes a file copies the folder first."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.report.run_folder import make_run


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("made") / "run")


@pytest.fixture
def run_folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))
