"""What the README promises first: two commands, three sentences, and that it stays short."""

from __future__ import annotations

from tests.pages import ROOT, blocks, commands

README = ROOT / "README.md"


def test_two_make_targets() -> None:
    lines = [line for block in blocks(README) if block.kind == "bash" for line in commands(block)]
    assert [line for line in lines if line.startswith("make ")] == ["make demo", "make test"]


def test_it_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


def test_printed_answers_are_those_of_the_example_tables() -> None:
    """Rows of the printed predictions name models and benchmarks of the example whose scores are blank."""
    rows = [line.split() for block in blocks(README) if block.kind == "text" for line in block.text.splitlines()]
    table = [line.split(",") for line in (ROOT / "docs/examples/scores.csv").read_text().splitlines()]
    blank = {(row[0], name) for row in table[1:] for name, cell in zip(table[0], row, strict=True) if not cell}
    shown = {(row[0], row[1]) for row in rows if len(row) > 4 and row[0] in {lm for lm, _ in blank}}
    assert len(shown) >= 5
    assert shown <= blank
