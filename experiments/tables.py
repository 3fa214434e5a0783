"""Writes the tables of README.md and docs/ that show results, from the results that are committed.

    python -m experiments.tables            # writes them
    python -m experiments.tables --check    # changes nothing; exit code 1 if a page shows something else

A table stands between the comments `<!-- table: NAME -->` and `<!-- end of table -->`. The results are the JSON files
in `experiments/results`; each has the command that made it and the date of the run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from csvjax.atomic import replacing
from csvjax.errors import InputError
from experiments.running import start

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "experiments" / "results"
_PLACE = re.compile(r"(<!-- table: (.*?) -->\n).*?(<!-- end of table -->)", re.DOTALL)

Table = list[str]
"""Lines of Markdown."""


def results(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def lines(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    first, *rest = [f"| {' | '.join(row)} |".replace("|  |", "| |") for row in (head, *rows)]
    return [first, "|---" * len(head) + "|", *rest]


def best(values: Sequence[float | None], texts: Sequence[str], lower: bool = True) -> list[str]:
    """The texts, the best of them in bold; a missing value is a dash."""
    known = [value for value in values if value is not None]
    first = (min if lower else max)(known) if known else None
    return [
        "-" if value is None else f"**{text}**" if value == first else text
        for value, text in zip(values, texts, strict=True)
    ]


SPLITS = {
    "leave-one-out:family": "each mixture of training text",
    "weak-to-strong:params": "the largest size",
    "weak-to-strong:step:2": "the last two checkpoints of each run",
}
_FIGURES = {"r2": ("R2", ".2f"), "crps": ("CRPS", ".3f"), "coverage90": ("in 90 % interval", ".0%")}
_LAWS = {"mean_loss": "mean loss", "salience": "salience"}


def ladder(name: str) -> Table:
    """The law with salience beside that of the mean loss, on each split of the ladder."""
    found = {(m["split"], m["law"]): m for m in results(name)["metrics"] if m["benchmark"] == "all"}
    pairs = [(figure, law) for figure in _FIGURES for law in _LAWS]
    head = ["held out", *(f"{_FIGURES[f][0]} {_LAWS[law]}" for f, law in pairs[:4])]
    head += ["in 90 % interval, mean loss", "salience"]
    rows = [
        [label, *(format(found[split, law][figure], _FIGURES[figure][1]) for figure, law in pairs)]
        for split, label in SPLITS.items()
    ]
    return lines(head, rows)


def ladder_tasks() -> Table:
    """Each task of the ladder, each mixture of training text held out in turn."""
    rows: dict[str, dict[str, dict[str, float]]] = {}
    for m in results("salience_ladder")["metrics"]:
        if m["split"] == "leave-one-out:family":
            rows.setdefault(m["benchmark"].replace("all", "mean"), {})[m["law"]] = m
    pairs = [(figure, law) for figure in ("r2", "crps") for law in _LAWS] + [("coverage90", "salience")]
    head = ["task", *(f"{_FIGURES[f][0]} {_LAWS[law]}" for f, law in pairs[:4]), "in 90 % interval, salience"]
    body = [
        [name, *(format(row[law][figure], _FIGURES[figure][1]) for figure, law in pairs)] for name, row in rows.items()
    ]
    return lines(head, body)


_PUBLISHED_SLOTH = (4.06, 2.86, 3.52, 4.10, 3.25, 3.96)  # arXiv 2412.06540, the best of all its links and dimensions


def sloth() -> Table:
    """Larger models of a family from its smallest, beside the best published error of each column."""
    settings = results("sloth_families")["settings"]
    ours = [each["law"] for each in settings]
    both = [best(pair, [f"{v:.2f}" for v in pair]) for pair in zip(ours, _PUBLISHED_SLOTH, strict=True)]
    names = [each["setting"].split("_n") for each in settings]
    rows = [
        ["the law, one setting", *(pair[0] for pair in both)],
        ["best published", *(pair[1] for pair in both)],
        ["inside the 90 % interval", *(f"{each['coverage90']:.0%}" for each in settings)],
    ]
    return lines(["", *(f"{name}, {seen} seen" for name, seen in names)], rows)


_TASKS = {"arithmetic": "arithmetic", "persian_qa": "Persian QA", "mmlu": "MMLU"}


def emergence() -> Table:
    """Larger models, without and with finer scores of the smaller ones."""
    found = results("emergence")["tasks"]
    rows = []
    for task, label in _TASKS.items():
        row = [label]
        for figure in ("crps", "mse"):
            for kind in ("", "_columns"):
                row.append(f"{found[task + kind][figure]:.3g}")
        inside = [f"{found[task + kind]['inside90'] / found[task + kind]['cells']:.0%}" for kind in ("", "_columns")]
        rows.append([*row, *inside, f"{found[task]['cells']:.0f}"])
    pair = ("without", "with columns")
    head = ["task", *(f"{name}, {kind}" for name in ("CRPS", "MSE", "in 90 %") for kind in pair), "models"]
    return lines(head, rows)


def latent_law() -> Table:
    """Large models of six families from smaller ones."""
    rows = results("latent_law")["rows"]
    errors = [row["mae"] for row in rows.values()]
    marked = best(errors, [f"{error:.4f}" for error in errors])
    body = [
        [name, error, f"{row['crps']:.4f}", f"{row['inside90'] / row['cells']:.0%}", f"{row['width90']:.2f}"]
        for (name, row), error in zip(rows.items(), marked, strict=True)
    ]
    return lines(["method", "mean absolute error", "CRPS", "in 90 %", "width of 90 %"], body)


def _digits(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def headlines(result: Any) -> Table:
    """The figure of each method on each protocol; a star: some scores were not answered."""
    methods, columns = result["methods"], []
    for protocol, better in result["better"].items():
        values = [m["figures"][protocol] for m in methods.values()]
        stars = ["*" if protocol in m["in part"] else "" for m in methods.values()]
        texts = ["" if v is None else _digits(v) + star for v, star in zip(values, stars, strict=True)]
        columns.append(best(values, texts, better == "lower"))
    return lines(["", *result["better"]], [[name, *row] for name, *row in zip(methods, *columns, strict=True)])


def interval_table(result: Any) -> Table:
    """CRPS and coverage of each method over a group of protocols, and its seconds; then when and with what it ran."""
    methods = result["methods"]
    groups = list(next(iter(methods.values()))["intervals"])
    rows = []
    for name, m in methods.items():
        pairs = [m["intervals"][group] for group in groups]
        cells = [["-", "-"] if p is None else [f"{p['crps']:.4f}", f"{p['coverage90']:.0%}"] for p in pairs]
        rows.append([name, *(cell for pair in cells for cell in pair), f"{m['seconds']:.0f}"])
    packages = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    total = sum(m["seconds"] for m in methods.values())
    told = f"{result['date']}; {packages}; {total:.0f} CPU seconds. Star: some scores not answered."
    return [*lines(["", *(h for g in groups for h in (f"{g}: CRPS", "in 90 %")), "CPU s"], rows), "", told]


def drills() -> Table:
    rows = [
        [row["what"], *(str(row[name]) for name in ("times", "survived", "lost"))]
        for row in results("drills")["drills"]
    ]
    return lines(["drill", "times", "survived", "lost"], rows)


_FILES = {
    "safetensors": "safetensors",
    "gguf": "GGUF",
    "checkpoint": "configuration and tokenizer of a checkpoint",
    "zarr": "stores of losses as folders",
    "zip": "stores of losses as zip archives",
    "tables": "tables and results",
}


def hostile_files() -> Table:
    rows = [
        [_FILES[row["kind"]], f"{row['inputs']:,}", *(str(row[name]) for name in ("crash", "hang", "traceback"))]
        for row in results("fuzz")["kinds"]
    ]
    return lines(["files", "inputs", "crashes", "hangs", "tracebacks"], rows)


TABLES: dict[str, Callable[[], Table]] = {
    "ladder": lambda: ladder("salience_ladder"),
    "ladder, trained again": lambda: ladder("salience_ladder_fresh"),
    "ladder, tasks": ladder_tasks,
    "sloth": sloth,
    "latent law": latent_law,
    "emergence": emergence,
    "drills": drills,
    "hostile files": hostile_files,
    "leaderboard": lambda: headlines(results("leaderboard")),
    "leaderboard, intervals": lambda: interval_table(results("leaderboard")),
}


def written(text: str) -> str:
    """A page with its tables made anew.

    Raises: InputError for a table that does not exist.
    """

    def made(place: re.Match[str]) -> str:
        begin, name, end = place.groups()
        if name not in TABLES:
            raise InputError(f"expected one of the tables {', '.join(TABLES)}, found {name!r}")
        return begin + "\n" + "\n".join(TABLES[name]()) + "\n\n" + end

    return _PLACE.sub(made, text)


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def main(check: Annotated[bool, typer.Option(help="Change nothing; say which pages differ.")] = False) -> None:
    """Write the tables of all pages, or compare them with the results."""
    other = []
    for page in pages():
        old = page.read_text(encoding="utf-8")
        new = written(old)
        if new == old:
            continue
        other.append(page.relative_to(ROOT))
        if not check:
            with replacing(page) as part:
                part.write_text(new, encoding="utf-8")
    typer.echo(f"{'other than the results' if check else 'written'}: {', '.join(map(str, other)) or 'none'}")
    if check and other:
        raise typer.Exit(1)


if __name__ == "__main__":
    start(main)
