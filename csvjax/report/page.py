"""Renders the page: one HTML file with its scripts, styles and data, which works without network."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

from csvjax.atomic import replacing
from csvjax.errors import installed
from csvjax.report.fingerprint import fingerprints
from csvjax.report.panels import Panel, panels
from csvjax.report.read import Run, read_run
from csvjax.report.tables import split_tables
from csvjax.report.tokens import token_data
from csvjax.report.verdict import verdict
from csvjax.report.words import law_label, laws_of, split_label, tiles

__all__ = ["packed", "render", "write_report"]

HERE = Path(__file__).parent


def packed(text: str) -> str:
    """Text as gzip in base64, which the script of the page unpacks; a library of 4.8 MB takes 2 MB."""
    return base64.b64encode(gzip.compress(text.encode("utf-8", "replace"), 9, mtime=0)).decode("ascii")


def _flat(settings: Any, name: str = "") -> list[tuple[str, str]]:
    """Dotted names and values, as text, of nested settings in their order."""
    if isinstance(settings, dict) and settings:
        return [row for k, v in settings.items() for row in _flat(v, f"{name}.{k}" if name else str(k))]
    if isinstance(settings, list):
        return [(name, ", ".join(str(v) for v in settings))]
    return [(name, str(settings))]


def _facts(run: Run) -> list[tuple[str, str]]:
    """Fingerprints of the data, status of the fit, and assumptions."""
    if run.fit is None:
        return []
    assumed = [("assumed", sentence) for sentence in run.fit.assumed]
    return [*fingerprints(run.fit.dataset), ("fit", str(run.fit.status)), *assumed]


def page_data(run: Run, shown: list[Panel]) -> dict[str, Any]:
    """The data for the script of the page: choices for the reader, figures and tokens."""
    predictions, fit = run.predictions, run.fit
    benchmarks = dict.fromkeys([*(fit.benchmarks if fit else ()), *predictions["benchmark"]])
    models = dict.fromkeys([*(fit.dataset.lms.index if fit else ()), *predictions["lm"]])
    return {
        "benchmarks": list(benchmarks),
        "lms": list(models),
        "splits": [[s, split_label(s)] for s in dict.fromkeys(run.held["split"])],
        "laws": [[law, law_label(law)] for law in reversed(laws_of(run))],
        "panels": {
            panel.id: {
                "by": panel.by,
                "variants": {key: [v.figure, v.table, v.caption] for key, v in panel.variants.items()},
            }
            for panel in shown
        },
        "tokens": token_data(run),
    }


def render(run: Run, name: str) -> str:
    """The page as HTML; `name` is the title if the settings do not name the data set."""
    with installed("a report", "report"):
        import jinja2
        from markupsafe import Markup
        from plotly.offline import get_plotlyjs

    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    pages.filters["unbroken"] = lambda text: str(text).replace(" %", "\N{NO-BREAK SPACE}%")
    shown, versions = panels(run), run.config.get("versions")
    data = page_data(run, shown)
    return pages.get_template("page.html.j2").render(
        title=str(run.config.get("dataset") or name),
        verdict=verdict(run),
        tiles=tiles(run),
        panels=shown,
        data=data,
        laws=[law_label(law) for law in laws_of(run)],
        tables=split_tables(run),
        settings=_flat({k: v for k, v in run.config.items() if k != "versions"}),
        versions=_flat(versions) if isinstance(versions, dict) else [],
        facts=_facts(run),
        started=run.config.get("started"),
        style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
        scripts=[Markup((HERE / f"{part}.js").read_text(encoding="utf-8")) for part in ("page", "tokens")],
        packed_data=packed(json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))),
        plotly=packed(get_plotlyjs()),
    )


def write_report(run_folder: Path) -> Path:
    """Write `report.html` into the folder of a run and return its path. It replaces an older page in one step.

    Raises: InputError for a file of the run that is missing or malformed (see `read_run`).
    """
    text = render(read_run(run_folder), run_folder.resolve().name)
    path = run_folder / "report.html"
    with replacing(path) as part:
        part.write_bytes(text.encode("utf-8", "replace"))  # a name from JSON may have half a surrogate pair
    return path
