"""An environment with PyTorch, apart from csvjax's own: made once, for references and peers."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

__all__ = ["REQUIREMENTS", "torch_python"]

REQUIREMENTS = (
    "torch==2.13.0",
    "transformers==5.24.0",
    "safetensors==0.8.0",
    "gguf==0.19.0",
    "lm-eval[hf]==0.4.13",
)
_FOLDER = Path(__file__).parent.parent / ".venv-torch"


def torch_python() -> Path:
    """The interpreter of `.venv-torch`, which is made or brought up to date first."""
    python, mark = _FOLDER / "bin" / "python", _FOLDER / "requirements.txt"
    wanted = "\n".join(REQUIREMENTS)
    if not mark.is_file() or mark.read_text(encoding="utf-8") != wanted:
        venv.create(_FOLDER, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True, stdout=sys.stderr)
        mark.write_text(wanted, encoding="utf-8")
    return python
