"""The pages of the documentation as blocks of code: what tests read of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

__all__ = ["PAGES", "ROOT", "Block", "blocks", "commands"]

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(r"(<!-- long -->\n)?^```(\w*)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """kind: bash, python or text. long: takes minutes, so it is not run in a fast test."""

    kind: str
    text: str
    long: bool


def blocks(page: Path) -> list[Block]:
    return [Block(kind, text, bool(long)) for long, kind, text in _FENCE.findall(page.read_text(encoding="utf-8"))]


def commands(block: Block) -> list[str]:
    """The lines of a block of commands, without comments."""
    return [line.split("#")[0].strip() for line in block.text.splitlines() if line.split("#")[0].strip()]
