"use strict";
// Draws the charts from the JSON in #data, and moves the selectors of one role together.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const COLOURS = ["#3b82c4", "#e07b1a", "#2f9e6b", "#d1495b", "#8e6bbf", "#8c6d46", "#c05fa6", "#6b7f8f", "#8f9a1f", "#17a2b8"];
  const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "pentagon", "triangle-down", "hexagon"];
  const SHAPES = {
    circle: '<circle cx="6" cy="6" r="4.5"/>', square: '<path d="M2 2h8v8H2z"/>', diamond: '<path d="M6 .5 11.5 6 6 11.5.5 6z"/>',
    "triangle-up": '<path d="M6 1 11 10.5H1z"/>', "triangle-down": '<path d="M6 11 1 1.5h10z"/>',
    pentagon: '<path d="M6 .8 11 4.6 9.1 10.6H2.9L1 4.6z"/>', hexagon: '<path d="M3.2 1.2h5.6L11.6 6l-2.8 4.8H3.2L.4 6z"/>',
  };
  const state = { split: 0, law: data.laws.length > 1 && data.benchmarks.length <= 12 ? "all" : String(data.laws.length - 1), benchmark: 0, family: null };
  const colour = (f) => COLOURS[f % COLOURS.length];
  const symbol = (f) => SYMBOLS[f % SYMBOLS.length];
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const shown = (v, digits = 2) => (v === null ? "–" : v.toFixed(digits).replace("-", "−"));
  // Plotly reads a few tags in hover texts, and names are only names.
  const plain = (s) => s.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

  function element(tag, className, text) {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  }

  // Charts are drawn when they come into view: a page may hold a hundred of them.
  const drawings = new Map();
  function drawVisible() {
    const near = (plot) => { const box = plot.getBoundingClientRect(); return box.bottom > -300 && box.top < window.innerHeight + 300; };
    [...drawings].filter(([plot, drawing]) => drawing.stale && near(plot)).forEach(([, drawing]) => drawing.draw());
  }
  let waiting = false;
  function drawSoon() {
    if (waiting) return;
    waiting = true;
    setTimeout(() => { waiting = false; drawVisible(); });
  }
  window.addEventListener("scroll", drawSoon, { passive: true });
  window.addEventListener("resize", drawSoon);
  window.addEventListener("beforeprint", () => drawings.forEach((drawing) => drawing.stale && drawing.draw()));
  function chart(parent, heading, detail, wide, specify) {
    const panel = element("div", wide ? "panel wide" : "panel");
    panel.append(element("h4", "", heading), element("p", "", detail));
    const plot = panel.appendChild(element("div", "plot"));
    parent.append(panel);
    const drawing = { stale: true, draw() {
      drawing.stale = false;
      const { traces, layout } = specify();
      drawing.drawn = Plotly.react(plot, traces, layout, { displayModeBar: false, responsive: true });
    } };
    drawings.set(plot, drawing);
  }
  function clear(parent) {
    parent.querySelectorAll(".plot").forEach((plot) => {
      const { drawn } = drawings.get(plot);
      if (drawn) drawn.then(() => Plotly.purge(plot)); // a chart that is purged while it is being drawn throws
      drawings.delete(plot);
    });
    parent.replaceChildren();
  }
  function redraw() {
    drawings.forEach((drawing) => { drawing.stale = true; });
    drawSoon();
  }

  function marks(lms, hollow) {
    const families = lms.map((m) => data.family[m]);
    return {
      size: 8, color: families.map(colour), line: { width: 1.5, color: families.map(colour) },
      symbol: families.map((f, i) => symbol(f) + (hollow(i) ? "-open" : "")),
      opacity: families.map((f) => (state.family === null ? 0.85 : f === state.family ? 1 : 0.1)),
    };
  }
  function layoutOf(xTitle, yTitle, xRange, yRange, shapes) {
    const axis = (title, range) => ({
      title: { text: title, font: { size: 12 }, standoff: 6 }, range, gridcolor: css("--grid"), zeroline: false,
      linecolor: css("--line"), tickfont: { size: 11 }, nticks: 6, fixedrange: true, automargin: true,
    });
    return {
      xaxis: axis(xTitle, xRange), yaxis: axis(yTitle, yRange), shapes, showlegend: false, hovermode: "closest", dragmode: false,
      margin: { l: 46, r: 8, t: 8, b: 40 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: css("--sans"), color: css("--soft"), size: 12 },
      hoverlabel: { bgcolor: css("--card"), bordercolor: css("--line"), font: { family: css("--sans"), color: css("--text"), size: 12 }, align: "left" },
    };
  }
  function padded(values, share = 0.05) {
    const known = values.filter((v) => v !== null);
    const low = Math.min(...known), high = Math.max(...known), pad = share * (high - low || 0.1);
    return [low - pad, high + pad];
  }
  const nameOf = (m) => `<b>${plain(data.lms[m])}</b><br>${plain(data.families[data.family[m]])}`;

  function drawPredicted() {
    const host = document.getElementById("panels");
    clear(host);
    const laws = state.law === "all" ? data.laws.map((_, i) => i) : [Number(state.law)];
    host.className = `panels ${laws.length > 1 ? "sided" : "single"}`;
    data.benchmarks.forEach((benchmark, b) => {
      const cells = data.laws.map((_, law) => data.cells[state.split][law][b]);
      const present = laws.filter((law) => cells[law]);
      if (!present.length) return;
      const task = host.appendChild(element("div", "task"));
      task.append(element("h3", "", benchmark));
      const row = task.appendChild(element("div", "row"));
      const range = padded(cells.filter(Boolean).flatMap((c) => [...c.observed, ...c.lower, ...c.upper]));
      present.forEach((law) => {
        const c = cells[law];
        // The bars of one trace have one colour: those of a family that is not singled out are shortened to nothing.
        const bars = (end) => c.lm.map((m, i) => (state.family === null || data.family[m] === state.family ? Math.abs(end[i] - c.mean[i]) : 0));
        chart(row, data.laws[law], c.detail, false, () => ({
          traces: [{
            type: "scatter", mode: "markers", x: c.observed, y: c.mean, cliponaxis: false,
            marker: { ...marks(c.lm, (i) => c.observed[i] < c.lower[i] - 1e-6 || c.observed[i] > c.upper[i] + 1e-6), size: 7 },
            error_y: { type: "data", symmetric: false, array: bars(c.upper), arrayminus: bars(c.lower), color: css("--bar"), thickness: 1.2, width: 0 },
            text: c.lm.map((m, i) => `${nameOf(m)}<br>observed ${shown(c.observed[i], 3)}<br>predicted ${shown(c.mean[i], 3)} (${shown(c.lower[i], 3)} to ${shown(c.upper[i], 3)})`),
            hovertemplate: "%{text}<extra></extra>",
          }],
          layout: layoutOf("observed", "predicted", range, range, [
            { type: "line", x0: range[0], y0: range[0], x1: range[1], y1: range[1], layer: "below", line: { color: css("--soft"), width: 1 } },
          ]),
        }));
      });
    });
    drawSoon();
  }

  function drawLosses() {
    const host = document.getElementById("loss-panels");
    if (!host) return;
    clear(host);
    const c = data.losses[state.split][state.benchmark];
    if (!c) {
      host.append(element("p", "absent", "This task has no losses of the models held out here."));
      return;
    }
    const scores = padded(c.floor === null ? c.observed : [...c.observed, c.floor]);
    ["mean loss", "salient loss"].forEach((name, i) => {
      const x = c.losses[i], range = padded(x);
      const chance = { type: "line", x0: range[0], x1: range[1], y0: c.floor, y1: c.floor, layer: "below", line: { color: css("--soft"), width: 1, dash: "dash" } };
      chart(host, `Score against ${name}`, `rank correlation ρ = ${shown(c.rank[i])}`, true, () => ({
        traces: [{
          type: "scatter", mode: "markers", x, y: c.observed, cliponaxis: false, marker: marks(c.lm, () => false),
          text: c.lm.map((m, j) => `${nameOf(m)}<br>score ${shown(c.observed[j], 3)}<br>${name} ${shown(x[j], 3)} nats/byte`),
          hovertemplate: "%{text}<extra></extra>",
        }],
        layout: layoutOf(`${name} (nats/byte)`, "score", range, scores, c.floor === null ? [] : [chance]),
      }));
    });
    drawSoon();
  }

  function drawLegends() {
    document.querySelectorAll("[data-legend]").forEach((host) => {
      host.replaceChildren(...data.families.map((name, f) => {
        const button = element("button");
        button.type = "button";
        button.innerHTML = `<svg width="12" height="12" fill="${colour(f)}" aria-hidden="true">${SHAPES[symbol(f)]}</svg>`;
        button.append(element("span", "", name));
        button.setAttribute("aria-pressed", String(state.family === f));
        button.addEventListener("click", () => { state.family = state.family === f ? null : f; drawLegends(); redraw(); });
        return button;
      }));
    });
  }

  const views = [...document.querySelectorAll("[data-view]")];
  const select = (role) => [...document.querySelectorAll(`select[data-role="${role}"]`)];
  function showTask(name) {
    const b = data.benchmarks.indexOf(name), v = views.findIndex((view) => view.dataset.view === name);
    if (b >= 0) { state.benchmark = b; select("benchmark").forEach((s) => { s.value = String(b); }); drawLosses(); }
    if (v >= 0) { select("tokens").forEach((s) => { s.value = String(v); }); views.forEach((view, i) => view.classList.toggle("shown", i === v)); }
  }
  function showSplit(split) {
    state.split = split;
    select("split").forEach((s) => { s.value = String(split); });
    drawPredicted();
    drawLosses();
  }
  document.addEventListener("change", (event) => {
    const { role } = event.target.dataset, { value } = event.target;
    if (role === "split") showSplit(Number(value));
    if (role === "law") { state.law = value; drawPredicted(); }
    if (role === "benchmark") showTask(data.benchmarks[Number(value)]);
    if (role === "tokens") showTask(views[Number(value)].dataset.view);
  });

  const tip = document.getElementById("tip");
  let marked = null;
  function point(event) {
    const token = event.target.closest ? event.target.closest("[data-r]") : null;
    if (marked) marked.classList.remove("on");
    marked = token;
    tip.hidden = !token;
    if (!token) return;
    token.classList.add("on");
    tip.textContent = `${token.dataset.r} its share of bytes`;
    const box = token.getClientRects()[0], width = tip.offsetWidth;
    tip.style.left = `${Math.max(4, Math.min(window.innerWidth - width - 4, box.left + box.width / 2 - width / 2))}px`;
    tip.style.top = `${box.top > 40 ? box.top - tip.offsetHeight - 6 : box.bottom + 6}px`;
  }
  document.addEventListener("pointerover", point);
  document.addEventListener("click", point);
  document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

  document.documentElement.classList.add("scripted");
  select("law").forEach((s) => { s.value = state.law; });
  drawLegends();
  if (views.length) views[0].classList.add("shown");
  showTask(data.benchmarks[0]);
  showSplit(0);
})();
