"""Environments apart from csvjax's own, made once, for references and peers."""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

__all__ = ["ROOT", "interpreter"]

ROOT = Path(__file__).parent.parent


def interpreter(name: str, requirements: Sequence[str]) -> Path:
    """The interpreter of the folder `name` of the project, which is made or brought up to date first."""
    folder = ROOT / name
    python, mark = folder / "bin" / "python", folder / "requirements.txt"
    wanted = "\n".join(requirements)
    if not mark.is_file() or mark.read_text(encoding="utf-8") != wanted:
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True, stdout=sys.stderr)
        mark.write_text(wanted, encoding="utf-8")
    return python
