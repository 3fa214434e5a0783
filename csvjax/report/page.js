"use strict";
// Unpacks data and library, draws the figures that are in view, and lets all of them follow one choice.
const csvjax = {
  state: { benchmark: "", lm: "", split: "", law: "" },
  byId: (id) => document.getElementById(id),
  element(tag, className, text) {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  },
  async unpack(id) {
    const text = csvjax.byId(id).textContent;
    const bytes = Uint8Array.fromBase64 ? Uint8Array.fromBase64(text) : Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  },
  changed() { document.dispatchEvent(new Event("chosen")); },
};

(async () => {
  const { state, byId, element } = csvjax;
  // Figures show names as HTML does, so they were escaped; this is the same rule.
  const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const bare = (text) => text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");
  const narrow = () => window.innerWidth <= 640; // as in the style sheet
  const short = (name) => (bare(name).length > 24 ? plain(`${bare(name).slice(0, 12)}…${bare(name).slice(-10)}`) : name);
  const wrapped = (title, length) => title.split(" ").reduce((text, word) => (
    text.split("<br>").at(-1).length + word.length > length ? `${text}<br>${word}` : `${text} ${word}`
  ));
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const data = JSON.parse(await csvjax.unpack("data"));
  csvjax.data = data;
  const chosen = ["benchmark", "lm", "split", "law"];
  state.benchmark = data.benchmarks[0] ?? "";
  state.split = data.splits.length ? data.splits[0][0] : "";
  state.law = data.laws.length ? data.laws[0][0] : "";

  const figures = Object.entries(data.panels).map(([id, panel]) => ({
    id, ...panel, host: byId(id), plot: byId(id).querySelector(".plot"), stale: true,
  }));
  const variantOf = (panel) => panel.variants[panel.by.map((name) => state[name]).join("|")];

  // Marks of the choice: the others are dimmed, or, where a figure has a row for each benchmark, its row is ringed.
  function isChosen(names, panel) {
    const [lm, benchmark] = names;
    if (lm && state.lm) return lm === plain(state.lm);
    if (panel.by.includes("benchmark")) return false;
    return benchmark === plain(state.benchmark);
  }
  const at = (value, places) => (Array.isArray(value) ? places.map((i) => value[i]) : value);
  function pick(trace, places) {
    const crowded = trace.marker.size < 8, found = { ...trace, showlegend: false, cliponaxis: false };
    for (const name of ["x", "y", "customdata"]) found[name] = at(trace[name], places);
    found.marker = { ...trace.marker, symbol: at(trace.marker.symbol, places), size: trace.marker.size + (crowded ? 2 : 4), line: { width: crowded ? 1 : 2, color: css("--text") } };
    for (const name of ["error_x", "error_y"]) {
      if (trace[name]) found[name] = { ...trace[name], array: at(trace[name].array, places), arrayminus: at(trace[name].arrayminus, places), thickness: 2.5, color: trace.marker.color };
    }
    return found;
  }
  function marked(traces, panel) {
    const over = [];
    const base = traces.map((trace) => {
      if (trace.type === "heatmap" && narrow()) return { ...trace, showscale: false };
      if (!trace.customdata || trace.type !== "scatter") return trace;
      const places = trace.customdata.flatMap((names, i) => (isChosen(names, panel) ? [i] : []));
      if (places.length) over.push(pick(trace, places));
      return state.lm && trace.customdata.some(([lm]) => lm) ? { ...trace, opacity: 0.35 } : trace;
    });
    return [...base, ...over];
  }
  function frames(traces) {
    const boxes = [];
    for (const trace of traces.filter((t) => t.type === "heatmap" && t.meta)) {
      for (const side of ["x", "y"]) {
        const name = plain(state[trace.meta[side] ?? ""] ?? ""), i = name ? trace[side].indexOf(name) : -1;
        if (i < 0) continue;
        const other = side === "x" ? "y" : "x";
        boxes.push({ type: "rect", [`${other}ref`]: "paper", [`${other}0`]: 0, [`${other}1`]: 1, [`${side}0`]: i - 0.5, [`${side}1`]: i + 0.5, line: { color: css("--text"), width: 2 } });
      }
    }
    return boxes;
  }
  function layoutOf(figure, width) {
    const layout = { ...figure.layout, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", dragmode: false };
    layout.font = { family: css("--sans"), size: 12, color: css("--text") };
    layout.hoverlabel = { bgcolor: css("--card"), bordercolor: css("--line"), font: { color: css("--text") }, align: "left" };
    for (const name of Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key))) {
      const heat = layout[name].type === "category";
      layout[name] = { ...layout[name], fixedrange: true, gridcolor: css("--grid"), linecolor: css("--line"), tickcolor: css("--line"), showgrid: !heat };
    }
    const title = layout.xaxis?.title; // a long one would be cut
    if (title?.text && !layout.xaxis2) layout.xaxis.title = { ...title, text: wrapped(title.text, narrow() ? 20 : width / 12) };
    if (narrow()) {
      layout.annotations = []; // no room for a note inside of the figure
      // Long names would leave no room for the figure.
      const rows = [...new Set(figure.data.flatMap(({ y }) => y ?? []))].filter((name) => typeof name === "string");
      if (rows.length) layout.yaxis = { ...layout.yaxis, tickvals: rows, ticktext: rows.map(short) };
    }
    layout.shapes = [...(figure.layout.shapes ?? []), ...frames(figure.data)];
    return layout;
  }
  function draw(panel) {
    panel.stale = false;
    const variant = variantOf(panel), { host, plot } = panel;
    const what = panel.by.includes("benchmark") ? state.benchmark : "";
    host.querySelector(".of").textContent = what;
    host.querySelector(".caption").textContent = variant ? variant[2] : `This run has nothing to show here for ${what || "this choice"}.`;
    host.querySelector("details").hidden = plot.hidden = !variant;
    if (!variant) return;
    const [figure] = variant;
    const entries = figure.data.filter(({ name, showlegend }) => name && showlegend !== false).length;
    if (figure.layout.height) plot.style.height = `${figure.layout.height}px`;
    else if (narrow()) plot.style.height = `${300 + 19 * entries}px`; // the legend has a line for each entry
    else plot.style.height = "";
    Plotly.react(plot, marked(figure.data, panel), layoutOf(figure, plot.clientWidth), { displayModeBar: false, responsive: true });
    if (!panel.listens) {
      panel.listens = true;
      plot.on("plotly_click", ({ points }) => {
        const [lm, benchmark] = points[0].customdata ?? [];
        if (lm && data.lms.includes(bare(lm))) choose("lm", bare(lm));
        else if (benchmark && data.benchmarks.includes(bare(benchmark))) choose("benchmark", bare(benchmark));
      });
    }
    host.dataset.shows = [state.benchmark, state.lm, state.split, state.law].join("|");
    if (host.querySelector("details").open) fill(panel, tableOf(variant));
  }
  // Figures are drawn when they come near the view; the first one at once, the others one by one.
  let waiting = false;
  function drawNext() {
    const near = figures.find(({ stale, host }) => {
      const box = host.getBoundingClientRect();
      return stale && box.bottom > -300 && box.top < window.innerHeight + 300;
    });
    waiting = false;
    if (near) { draw(near); drawSoon(); } else document.documentElement.dataset.ready = "yes";
  }
  function drawSoon() {
    if (waiting) return;
    waiting = true;
    setTimeout(drawNext);
  }
  function redraw() {
    delete document.documentElement.dataset.ready;
    figures.forEach((panel) => { panel.stale = true; });
    drawNext();
  }

  // A figure without a table of its own: one of its marks, or of the fields of its map.
  function tableOf([figure, table]) {
    if (table) return table;
    const map = figure.data.find(({ type }) => type === "heatmap");
    if (map) return { columns: ["", ...map.x.map(bare)], rows: map.y.map((name, i) => [bare(name), ...map.z[i]]) };
    const title = (axis) => figure.layout[axis].title.text;
    const rows = figure.data.filter(({ customdata }) => customdata).flatMap((trace) => trace.customdata.map(([lm, benchmark], i) => {
      const ends = trace.error_y ? [trace.y[i] - trace.error_y.arrayminus[i], trace.y[i] + trace.error_y.array[i]].map((v) => Number(v.toFixed(4))) : [null, null];
      return [bare(lm), bare(benchmark), bare(trace.name ?? ""), trace.x[i], trace.y[i], ...ends];
    }));
    return { columns: ["model", "benchmark", "mark", title("xaxis"), title("yaxis"), "lower 90 %", "upper 90 %"], rows };
  }
  const written = (value) => (value === null ? "" : typeof value === "number" ? String(value).replace("-", "−") : value);
  function fill(panel, { columns, rows }) {
    const table = element("table", "values"), head = table.createTHead().insertRow(), body = table.createTBody();
    columns.forEach((name) => { const cell = head.appendChild(element("th", "", name)); cell.scope = "col"; });
    for (const row of rows) {
      const line = body.insertRow();
      if (state.lm && row.includes(state.lm)) line.className = "on";
      row.forEach((value) => { line.append(element("td", typeof value === "number" ? "num" : "", written(value))); });
    }
    panel.host.querySelector("details > div").replaceChildren(table);
  }
  figures.forEach((panel) => panel.host.querySelector("details").addEventListener("toggle", (event) => {
    const variant = variantOf(panel);
    if (event.target.open && variant) fill(panel, tableOf(variant));
  }));

  // What is known of the chosen model on the chosen benchmark, in one line.
  function say() {
    const panel = ["predicted", "compute", "capability"].map((id) => data.panels[id]).find((found) => found && variantOf(found));
    const table = state.lm && panel ? tableOf(variantOf(panel)) : { columns: [], rows: [] };
    const row = table.rows.find(([lm]) => lm === state.lm);
    const per = (v) => (v >= 0 && v <= 1 ? `${(100 * v).toFixed(1)} %` : written(v));
    const value = (start) => row?.[table.columns.findIndex((name) => name.startsWith(start))] ?? null;
    const [observed, mean, low, high] = ["observed", "predicted", "lower", "upper"].map(value);
    let text = state.lm ? `${state.lm} on ${state.benchmark}` : "";
    if (row) text += observed === null ? ": not measured" : `: observed ${per(observed)}`;
    if (mean !== null) text += `, predicted ${per(mean)} (90 %: ${per(low)} to ${per(high)})`;
    byId("chosen").textContent = text;
  }
  function choose(name, value) {
    state[name] = value;
    if (byId(name)) byId(name).value = value;
    say();
    redraw();
    csvjax.changed();
  }
  chosen.forEach((name) => byId(name)?.addEventListener("change", (event) => choose(name, event.target.value)));
  byId("choices").addEventListener("submit", (event) => event.preventDefault());

  chosen.forEach((name) => { if (byId(name)) byId(name).value = state[name]; }); // a browser may remember older ones
  csvjax.changed();
  if (figures.length) {
    const library = element("script");
    library.textContent = await csvjax.unpack("plotly");
    document.head.append(library);
    window.addEventListener("scroll", drawSoon, { passive: true });
    window.addEventListener("resize", drawSoon);
    window.addEventListener("beforeprint", () => figures.filter(({ stale }) => stale).forEach(draw));
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    drawNext();
  }
})();
