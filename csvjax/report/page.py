"""The page itself: one file of HTML that carries its script, its style and its data, and fetches nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from csvjax.atomic import replacing
from csvjax.errors import installed
from csvjax.report import tables
from csvjax.report.domains import domain_table
from csvjax.report.figures import chart_data
from csvjax.report.read import Run, read_run
from csvjax.report.tokens import token_views
from csvjax.report.words import law_label, laws_of, split_label, summary, tiles

__all__ = ["render", "write_report"]

HERE = Path(__file__).parent


def _flat(settings: Any, name: str = "") -> list[tuple[str, str]]:
    """(dotted name, value as text) of nested settings, in their order."""
    if isinstance(settings, dict) and settings:
        return [row for k, v in settings.items() for row in _flat(v, f"{name}.{k}" if name else str(k))]
    if isinstance(settings, list):
        return [(name, ", ".join(str(v) for v in settings))]
    return [(name, str(settings))]


def render(run: Run, name: str) -> str:
    """The page as text; `name` stands in for a data set that the settings do not name."""
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
    scale, views = token_views(run.salience) if run.salience is not None else (None, [])
    charts = chart_data(run)
    versions = run.config.get("versions")
    return pages.get_template("page.html.j2").render(
        title=str(run.config.get("dataset") or name),
        summary=summary(run),
        tiles=tiles(run),
        charts=charts,
        laws=[law_label(law) for law in laws_of(run)],
        has_losses=any(panel for split in charts["losses"] for panel in split),
        domains=domain_table(run.salience) if run.salience is not None else None,
        scale=scale,
        views=views,
        headings=tables.HEADINGS,
        tables=tables.split_tables(run),
        split_label=split_label,
        settings=_flat({k: v for k, v in run.config.items() if k != "versions"}),
        versions=_flat(versions) if isinstance(versions, dict) else [],
        started=run.config.get("started"),
        style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
        script=Markup((HERE / "page.js").read_text(encoding="utf-8")),
        plotly=Markup(get_plotlyjs()),
    )


def write_report(run_folder: Path) -> Path:
    """Write `report.html` into the folder of a run and return its path; an older one stays until the new one is whole.

    Raises InputError with one sentence for an input file that is missing or malformed (see `read_run`).
    """
    text = render(read_run(run_folder), run_folder.resolve().name)
    path = run_folder / "report.html"
    with replacing(path) as part:
        part.write_bytes(text.encode("utf-8", "replace"))  # a name out of JSON may hold half a surrogate pair
    return path
