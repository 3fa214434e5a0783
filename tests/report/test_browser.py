"""The page in a real browser without a network: choices, tokens, hostile names, keyboard, contrast, widths, speed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from csvjax.report import write_report
from tests.report.fitted_run import BENCHMARKS, HOSTILE, TARGET, make_fitted_run
from tests.report.run_folder import make_run

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next((path for name in NAMES if (path := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; on Debian: apt-get install chromium")

READY = "document.documentElement.dataset.ready === 'yes'"
SECONDS = 20
SHOWN = """() => {
  const plot = (id) => document.querySelector(`#${id} .plot`);
  return Object.fromEntries([...document.querySelectorAll(".panel")].map(({ id }) =>
    [id, JSON.stringify([plot(id).data, plot(id).layout && plot(id).layout.shapes])]));
}"""
CONTRAST = """() => {
  const channel = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const numbers = (colour) => (colour.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => 0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
  function under(node) { // colours that let others through lie on those below
    const layers = [];
    for (let at = node; at; at = at.parentElement) {
      const [r, g, b, a = 1] = numbers(getComputedStyle(at).backgroundColor);
      if (a > 0) layers.push([r, g, b, a]);
      if (a === 1) break;
    }
    const over = (below, [r, g, b, a]) => [r, g, b].map((v, i) => a * v + (1 - a) * below[i]);
    return layers.reverse().reduce(over, [255, 255, 255]);
  }
  const found = [];
  for (const node of document.body.querySelectorAll("*")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.offsetParent || node.closest("svg, .skip")) continue;
    const a = light(numbers(getComputedStyle(node).color)), b = light(under(node));
    const text = `${node.tagName}.${node.className}: ${node.textContent.slice(0, 30)}`;
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), text]);
  }
  return found.sort((a, b) => a[0] - b[0]).slice(0, 5);
}"""
CUT = """() => [...document.querySelectorAll(".plot .xtitle, .plot .ytitle, .plot .legendtext")].flatMap((text) => {
  const a = text.getBoundingClientRect(), b = text.closest(".plot").getBoundingClientRect();
  const inside = a.left > b.left - 1 && a.right < b.right + 1 && a.top > b.top - 1 && a.bottom < b.bottom + 1;
  return inside ? [] : [text.textContent];
})"""
INTERACTION = """async ([id, value]) => {
  const select = document.getElementById(id), begun = performance.now();
  select.value = value;
  select.dispatchEvent(new Event("change", { bubbles: true }));
  while (document.documentElement.dataset.ready !== "yes") await new Promise((done) => setTimeout(done));
  return performance.now() - begun;
}"""


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(make_fitted_run(tmp_path_factory.mktemp("fitted") / "run"))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six benchmarks, three splits, two laws and 100 000 tokens, four times those of the demo."""
    return write_report(make_run(tmp_path_factory.mktemp("large") / "run", benchmarks=6, documents=1000))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


class Opened:
    """A page in a window of its own, and everything that went wrong in it."""

    def __init__(self, browser: Any, path: Path, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, offline=True
        )
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type != "log" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: self.errors.append(f"dialog {dialog.message}"))
        self.page.on("request", lambda asked: None if asked.url.startswith("file:") else self.errors.append(asked.url))
        self.page.goto(path.as_uri())
        self.until(READY)

    def until(self, expression: str) -> None:
        """Wait. Not by Playwright's own function, which evaluates text in the page, as the page's policy forbids."""
        end = time.monotonic() + SECONDS
        while not self.page.evaluate(expression):
            assert time.monotonic() < end, f"not within {SECONDS} seconds: {expression}"
            time.sleep(0.02)

    def draw_all(self) -> dict[str, str]:
        """Scroll to every panel, so that it is drawn; what each shows."""
        for panel in self.page.query_selector_all(".panel"):
            panel.scroll_into_view_if_needed()
            self.page.evaluate("window.dispatchEvent(new Event('scroll'))")
            self.until(f"{READY} && document.getElementById('{panel.get_attribute('id')}').dataset.shows")
        return dict(self.page.evaluate(SHOWN))

    def choose(self, id: str, label: str) -> None:
        self.page.select_option(f"#{id}", label=label)
        self.until(READY)


@pytest.fixture
def opened(browser: Any, fitted: Path) -> Iterator[Opened]:
    found = Opened(browser, fitted)
    yield found
    found.context.close()
    assert not found.errors


PANELS = [
    *("compute", "salient-loss", "residuals", "predicted", "capability", "coverage", "capabilities", "loadings"),
    *("domains", "mean-loss", "priors"),
]


def test_a_model_or_a_benchmark_is_followed_by_every_panel(opened: Opened) -> None:
    before = opened.draw_all()
    assert list(before) == PANELS
    opened.choose("lm", "m12")
    one_model = opened.draw_all()
    still = {name for name in before if before[name] == one_model[name]}
    assert still == {"coverage", "loadings", "domains", "priors"}  # these have no marks of models
    assert "m12 on easy: observed" in opened.page.inner_text("#chosen")
    opened.choose("benchmark", BENCHMARKS[2])
    other = opened.draw_all()
    assert {name for name in before if one_model[name] == other[name]} == {"capabilities", "priors"}


def test_every_figure_has_its_data_as_a_table(opened: Opened) -> None:
    opened.draw_all()
    opened.choose("lm", "m12")
    for summary in opened.page.query_selector_all("details.data summary"):
        summary.click()
    count = "all => Object.fromEntries(all.map(p => [p.id, p.querySelectorAll('details tbody tr').length]))"
    rows = opened.page.eval_on_selector_all(".panel", count)
    assert list(rows) == PANELS
    assert all(rows.values()), rows
    marked = opened.page.eval_on_selector_all(
        ".panel", "all => all.filter(p => p.querySelector('tr.on')).map(p => p.id)"
    )
    assert {"compute", "predicted", "capabilities"} <= set(marked)


def test_the_curve_comes_first_and_the_target_is_marked(opened: Opened) -> None:
    assert opened.page.eval_on_selector(".panel", "panel => panel.id") == "compute"
    opened.page.locator("#compute summary").click()
    row = opened.page.locator(f"#compute tr:has-text('{TARGET}')").inner_text().split("\t")
    assert row[3] == ""  # no score was observed
    assert 0 < float(row[6]) < float(row[5]) < float(row[7]) <= 1
    assert "predicted, not measured" in opened.page.inner_text("#compute .plot")


def test_a_click_on_a_mark_chooses_its_model(opened: Opened) -> None:
    opened.draw_all()
    plot = opened.page.locator("#capabilities .plot")
    plot.scroll_into_view_if_needed()
    box = plot.locator(".scatterlayer .points path").first.bounding_box()
    assert box is not None
    opened.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    opened.until("document.getElementById('lm').value !== ''")
    assert opened.page.inner_text("#chosen").startswith(opened.page.input_value("#lm"))


def test_hostile_names_are_text(opened: Opened) -> None:
    opened.draw_all()
    opened.choose("lm", HOSTILE)
    opened.choose("benchmark", BENCHMARKS[1])
    opened.draw_all()
    for summary in opened.page.query_selector_all("details.data summary"):
        summary.click()
    assert opened.page.evaluate("document.querySelectorAll('img, iframe, object').length") == 0
    assert opened.page.input_value("#benchmark") == BENCHMARKS[1]
    assert HOSTILE in opened.page.inner_text("#chosen")
    assert HOSTILE in opened.page.inner_text("#capabilities details")
    assert HOSTILE in opened.page.text_content("#capabilities .plot")
    assert opened.page.evaluate("document.querySelectorAll('script').length") == 5  # as written, and Plotly's


def test_tokens_are_found_filtered_and_compared(opened: Opened) -> None:
    page = opened.page
    page.locator("#tokens").scroll_into_view_if_needed()
    opened.until("document.querySelectorAll('.passage').length === 2")
    assert page.inner_text("#found") == "2 of 2 passages, 48 tokens."
    shown = page.text_content("#passages")
    for text in ("<script>alert(1)</script>", "</pre>", "‹202E›", "‹00›"):  # noqa: RUF001
        assert text in shown
    page.select_option("#domain", label="code")
    assert page.inner_text("#found") == "1 of 2 passages, 28 tokens."
    page.select_option("#domain", index=0)
    page.fill("#find", "WORD37")
    opened.until("document.querySelectorAll('.hit').length === 1")
    assert page.inner_text("#found") == "1 of 2 passages, 28 tokens."
    page.fill("#find", "")
    opened.until("document.querySelectorAll('#passages figure').length === 2")
    page.select_option("#colour-by", value="lms")
    page.select_option("#token-a", label=TARGET)
    page.select_option("#token-b", label="m12")
    gains = page.eval_on_selector_all("#passages figcaption b:last-of-type", "all => all.map(b => b.textContent)")
    assert all(text.startswith("+") for text in gains)  # the larger model predicts every passage better
    page.select_option("#token-a", label="m12")
    page.select_option("#token-b", label=TARGET)
    gains = page.eval_on_selector_all("#passages figcaption b:last-of-type", "all => all.map(b => b.textContent)")
    assert all(text.startswith("\N{MINUS SIGN}") for text in gains)
    page.select_option("#colour-by", value="benchmarks")
    page.select_option("#token-b", index=0)
    assert page.eval_on_selector_all("#passages i[class]", "all => all.filter(i => i.className).length") == 0


def test_the_keyboard_reaches_everything(opened: Opened) -> None:
    page = opened.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "benchmark"
    page.keyboard.press("ArrowDown")
    opened.until(f"{READY} && document.getElementById('compute').dataset.shows.startsWith('</script>')")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
    page.keyboard.press("Enter")
    assert page.locator("#compute details table").count() == 1


def test_every_width_in_light_and_dark(browser: Any, fitted: Path, tmp_path: Path) -> None:
    for width in (360, 640, 820, 1280):
        found = Opened(browser, fitted, width, 9000)  # so high that everything is in view
        for scheme in ("light", "dark"):
            found.page.emulate_media(color_scheme=scheme)
            found.until(READY)
            found.until(
                "Boolean(document.getElementById('priors').dataset.shows && document.querySelector('.passage'))"
            )
            assert found.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            widest = "Math.max(...[...document.querySelectorAll('.plot svg')].map(svg => svg.clientWidth))"
            assert 250 < found.page.evaluate(widest) <= width
            assert found.page.evaluate(CUT) == []
            low = found.page.evaluate(CONTRAST)
            assert low[0][0] >= 4.5, low
            taken = found.page.screenshot(path=tmp_path / f"{width}-{scheme}.png")
            assert len(taken) > 50_000
        found.context.close()
        assert not found.errors


def test_a_fit_to_every_score_has_a_page(browser: Any, fitted: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(fitted.parent, tmp_path / "run"))
    for name in ("predictions.parquet", "metrics.csv", "figures.json", "report.html"):
        (folder / name).unlink()
    found = Opened(browser, write_report(folder))
    assert list(found.draw_all()) == ["compute", "capability", "capabilities", "loadings", "domains", "priors"]
    assert "No score was held out" in found.page.inner_text("#verdict")
    assert found.page.query_selector("#scores") is None
    found.context.close()
    assert not found.errors


def test_a_page_of_a_hundred_thousand_tokens_is_quick(browser: Any, large: Path, record_property: Any) -> None:
    found = Opened(browser, large)
    page = found.page
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    values = page.eval_on_selector_all("#lm option", "all => all.slice(1, 8).map(o => o.value)")
    choosing = min(page.evaluate(INTERACTION, ["lm", value]) for value in values)
    benchmarks = page.eval_on_selector_all("#benchmark option", "all => all.slice(1, 6).map(o => o.value)")
    changing = min(page.evaluate(INTERACTION, ["benchmark", value]) for value in benchmarks)
    page.locator("#tokens").scroll_into_view_if_needed()
    found.until("document.querySelectorAll('.passage').length > 0")
    assert "100,020 tokens" in page.inner_text("#found")  # tokens
    filtering = min(page.evaluate(INTERACTION, ["domain", value]) for value in ("code", "german", "docs"))
    found.context.close()
    size = large.stat().st_size / 1024
    measured = {"paint_ms": paint, "interaction_ms": choosing, "benchmark_ms": changing, "filter_ms": filtering}
    for name, value in (measured | {"page_kib": size}).items():
        record_property(name, round(value, 1))
    print({name: round(value) for name, value in measured.items()}, round(size))
    assert not found.errors
    assert paint < 1000
    assert max(choosing, changing, filtering) < 100
    assert size < 4096
