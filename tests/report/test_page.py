import base64
import gzip
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from csvjax.evaluate import score_table
from csvjax.report import write_report
from tests.report.run_folder import NASTY, make_run

SECTIONS = ["panels", "tokens", "scores", "settings"]
VOID = {"meta", "link", "br", "img", "input", "hr", "wbr"}


class Page(HTMLParser):
    """What a browser makes of the page: elements with their attributes and text, and whether every one is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: dict[str, str] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.text[self.open[-1]] = self.text.get(self.open[-1], "") + data

    def having(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def unpacked(text: str, id: str) -> str:
    found = re.search(rf'<script type="text/plain" id="{id}">([^<]*)</script>', text)
    assert found is not None
    return gzip.decompress(base64.b64decode(found[1])).decode("utf-8")


def data_of(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    return json.loads(unpacked(text, "data"), parse_constant=refuse)


@pytest.fixture(scope="module")
def report(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(shutil.copytree(made, tmp_path_factory.mktemp("reported") / "run"))
    units = pd.read_parquet(folder / "salience.parquet")  # the tokens that could do harm are among those shown
    units.assign(share=units["share"] * np.where(units["token"].isin(NASTY), 100.0, 1.0)).to_parquet(
        folder / "salience.parquet"
    )
    return write_report(folder)


@pytest.fixture(scope="module")
def page(report: Path) -> Page:
    return Page(report.read_text(encoding="utf-8"))


def test_the_page_is_well_formed_and_has_all_sections(page: Page) -> None:
    assert page.open == []
    assert [a["id"] for a in page.having("section")] == SECTIONS
    ids = {str(attrs["id"]) for _, attrs in page.tags if "id" in attrs}
    for attribute in ("for", "aria-labelledby"):
        assert {str(attrs[attribute]).split()[0] for _, attrs in page.tags if attribute in attrs} <= ids
    assert {str(a["href"]).removeprefix("#") for a in page.having("a")} <= ids


def test_the_page_fetches_nothing(page: Page) -> None:
    for tag, attrs in page.tags:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            assert (attrs.get(name) or "#").startswith(("#", "data:")), (tag, attrs)
    assert "url(" not in page.text["style"]
    assert "@import" not in page.text["style"]
    policies = [a["content"] for a in page.having("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies[0] is not None
    assert policies[0].startswith("default-src 'none'")  # a browser holds the page to it


def test_the_library_is_packed_and_the_page_is_small(page: Page, report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    assert unpacked(text, "plotly").count("* plotly.js v") == 1
    assert len(text.encode()) < 2.5e6


def test_names_and_tokens_of_the_data_are_text_and_never_markup(page: Page, report: Path) -> None:
    assert "calls <of> functions & names" in page.text["th"]
    assert "calls <of> functions & names" in page.text["option"]
    text = report.read_text(encoding="utf-8")
    assert "<script>alert(1)" not in text
    assert "\x00" not in text
    assert set(NASTY) <= set(data_of(text)["tokens"]["tokens"])


def test_the_data_is_strict_json_in_which_figures_have_escaped_names(report: Path) -> None:
    data = data_of(report.read_text(encoding="utf-8"))
    assert data["benchmarks"][1] == "calls <of> functions & names"
    assert len(data["lms"]) == 40
    variants = data["panels"]["predicted"]["variants"]
    assert len(variants) == 3 * 2 * 3  # splits, laws, benchmarks
    figure = variants["leave-one-out:family|salience|calls <of> functions & names"][0]
    marks = [names for trace in figure["data"] for names in trace.get("customdata", [])]
    assert len(marks) == 40
    assert {benchmark for _, benchmark in marks} == {"calls &lt;of&gt; functions &amp; names"}


def test_only_panels_that_have_something_to_say_are_there(report: Path) -> None:
    found = list(data_of(report.read_text(encoding="utf-8"))["panels"])
    assert found == ["salient-loss", "residuals", "predicted", "coverage", "pit", "domains", "mean-loss"]


def test_figures_and_settings_are_on_the_page(page: Page) -> None:
    assert "\N{MINUS SIGN}0.02" in page.text["dd"]
    assert "law.salience.strength" in page.text["th"]
    assert "version 0.10.0" in page.text["td"]
    assert sum(a.get("class") == "scores" for a in page.having("table")) == 3


def test_a_run_of_one_law_without_losses_has_no_panels_of_them(run_folder: Path) -> None:
    (run_folder / "salience.parquet").unlink()
    p = pd.read_parquet(run_folder / "predictions.parquet").query("law == 'mean_loss'")
    p = p.assign(salient_loss=np.nan, mean_loss=np.nan, law="law")
    p.to_parquet(run_folder / "predictions.parquet")
    score_table(p).to_csv(run_folder / "metrics.csv", index=False)
    text = write_report(run_folder).read_text(encoding="utf-8")
    page, data = Page(text), data_of(text)
    assert [a["id"] for a in page.having("section")] == ["panels", "scores", "settings"]
    assert list(data["panels"]) == ["residuals", "predicted", "coverage", "pit"]
    assert not any(a.get("id") == "law" for a in page.having("select"))


def test_a_run_with_few_held_out_scores_shows_no_r2(run_folder: Path) -> None:
    p = pd.read_parquet(run_folder / "predictions.parquet")
    p = p[p["lm"].isin(p["lm"].unique()[:2])]
    p.to_parquet(run_folder / "predictions.parquet")
    score_table(p).to_csv(run_folder / "metrics.csv", index=False)
    page = Page(write_report(run_folder).read_text(encoding="utf-8"))
    assert "R²" not in page.text["th"]
    assert "R² gained" not in page.text["dt"]
    assert "Too few scores were held out for an R²" in page.text["p"]


def test_half_a_surrogate_pair_in_a_name_does_not_stop_the_report(run_folder: Path) -> None:
    (run_folder / "config.json").write_text('{"dataset": "a \\ud83d b"}')
    assert "a ? b" in write_report(run_folder).read_text(encoding="utf-8")


def test_an_older_report_is_replaced_as_a_whole(run_folder: Path) -> None:
    (run_folder / "report.html").write_text("old")
    path = write_report(run_folder)
    assert path == run_folder / "report.html"
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert not list(run_folder.glob("*.part*"))


def test_several_tens_of_benchmarks_fit(tmp_path: Path) -> None:
    path = write_report(make_run(tmp_path / "run", benchmarks=20))
    assert path.stat().st_size < 3e6
