"""The notebook of the documentation: executed again and written with its outputs by

python -m tests.notebook
"""

from __future__ import annotations

import os
from typing import Any

from tests.pages import ROOT

__all__ = ["NOTEBOOK", "executed"]

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
_SECONDS = 600


def executed() -> Any:
    """The notebook with the outputs of its cells, run in the folder of the documentation by a kernel of its own."""
    import nbformat
    from nbclient import NotebookClient

    os.environ["PLOTLY_RENDERER"] = "plotly_mimetype"  # figures as data: the library is not repeated in every cell
    os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"  # of tqdm, about widgets
    found = nbformat.read(NOTEBOOK, as_version=4)
    place = {"metadata": {"path": str(NOTEBOOK.parent)}}
    NotebookClient(found, timeout=_SECONDS, kernel_name="python3", resources=place).execute()
    for cell in found.cells:
        cell.metadata.pop("execution", None)  # when it ran
    return found


if __name__ == "__main__":
    import nbformat

    nbformat.write(executed(), NOTEBOOK)
