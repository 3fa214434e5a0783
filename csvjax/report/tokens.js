"use strict";
// The text of the losses: passages coloured by a benchmark's weight, by two benchmarks, or by the losses of two models.
(() => {
  const { byId, element, state } = csvjax;
  if (!byId("tokens")) return;
  const PASSAGE = 80, PAGE = 10, TYPES = 12, STEPS = 4;
  const controls = ["colour-by", "token-a", "token-b", "domain", "order", "find"].map(byId);
  const [colourBy, first, second, domain, order, find] = controls;
  let text, table, group, losses, passages, shown = [], until = 0, values, scale = 1;

  const bytesOf = (packed) => Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
  function unpack(found) {
    text = found;
    table = new Int8Array(bytesOf(found.table).buffer);
    const raw = bytesOf(found.group).buffer;
    group = found.wide ? new Uint32Array(raw) : new Uint16Array(raw);
    losses = found.losses ? bytesOf(found.losses) : new Uint8Array();
    for (let i = found.tokens.length; i < losses.length; i++) losses[i] += losses[i - found.tokens.length];
    passages = [];
    let start = 0;
    for (const [name, kind, count] of found.documents) {
      for (let from = start; from < start + count; from += PASSAGE) {
        const to = Math.min(from + PASSAGE, start + count);
        passages.push({ name, kind, from, to, text: found.tokens.slice(from, to).join("").toLowerCase() });
      }
      start += count;
    }
  }
  // A benchmark: doublings of the weight over the share of bytes. Two: their difference. Two models: nats.
  function measure() {
    const count = text.tokens.length, found = new Float32Array(count), mode = colourBy.value;
    const a = Number(first.value), b = Number(second.value);
    if (mode === "lms") {
      const nats = (lm, i) => (losses[lm * count + i] / text.loss_steps) ** 2;
      for (let i = 0; i < count; i++) found[i] = nats(b, i) - nats(a, i);
    } else {
      const of = (benchmark, i) => table[benchmark * text.groups + group[i]] / text.steps;
      for (let i = 0; i < count; i++) found[i] = of(a, i) - (mode === "benchmarks" ? of(b, i) : 0);
    }
    values = found;
    const sizes = Float32Array.from(found, Math.abs).sort();
    scale = Math.max(sizes[Math.floor(0.98 * (count - 1))] / STEPS, 0.02);
    for (const passage of passages) Object.assign(passage, total(passage.from, passage.to, (i) => i));
  }
  // Of several tokens: `gain` orders them, `mean` is read. Weights add up by bytes, losses by tokens.
  function total(from, to, at) {
    const mode = colourBy.value;
    let sum = 0, weight = 0;
    for (let i = from; i < to; i++) {
      const token = at(i), size = mode === "lms" ? 1 : text.bytes[token];
      sum += size * (mode === "salience" ? 2 ** values[token] : values[token]);
      weight += size;
    }
    const mean = sum / Math.max(weight, 1);
    return mode === "salience" ? { gain: sum - weight, mean: Math.log2(mean) } : { gain: sum, mean };
  }
  function styleOf(value) {
    const step = Math.max(-STEPS, Math.min(STEPS, Math.round(value / scale)));
    return step > 0 ? `h${step}` : step < 0 ? `l${-step}` : "";
  }
  function reading(value) {
    if (colourBy.value === "lms") return `${value >= 0 ? "+" : "−"}${Math.abs(value).toFixed(2)} nats`;
    const times = 2 ** Math.abs(value), digits = times < 9.95 ? times.toFixed(1) : times.toFixed(0);
    return `${value >= 0 ? "×" : "÷"}${digits}`;
  }
  const unit = () => ({ lms: "a token better", benchmarks: "its weight for the other", salience: "its share of bytes" })[colourBy.value];
  // Whitespace as signs; characters that would change how their neighbours are shown, as their number.
  const sign = { "\n": "↵", "\t": "⇥", "\r": "␍" };
  const unseen = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}]/gu;
  function readable(token, inText) {
    const number = (c) => (c === "\u200d" ? c : sign[c] ? sign[c] + (inText && c === "\n" ? "\n" : "") : `‹${c.codePointAt(0).toString(16).toUpperCase().padStart(2, "0")}›`);
    const found = token.replace(unseen, number);
    return inText ? found : found.replace(/ /g, "␣");
  }
  function filter() {
    const wanted = find.value.toLowerCase();
    shown = passages.filter((p) => (!domain.value || p.kind === domain.value) && (!wanted || p.text.includes(wanted)));
    if (order.value !== "text") shown.sort((p, q) => (order.value === "high" ? q.gain - p.gain : p.gain - q.gain));
    until = 0;
    byId("passages").replaceChildren();
    const tokens = shown.reduce((sum, p) => sum + p.to - p.from, 0);
    byId("found").textContent = `${shown.length.toLocaleString("en")} of ${passages.length.toLocaleString("en")} passages, ${tokens.toLocaleString("en")} tokens.`;
    more();
  }
  function more() {
    const wanted = find.value.toLowerCase(), page = document.createDocumentFragment();
    for (const passage of shown.slice(until, until + PAGE)) {
      const figure = page.appendChild(element("figure", "passage")), head = figure.appendChild(element("figcaption"));
      head.append(element("b", "", passage.kind), ` ${passage.name}: `, element("b", "", reading(passage.mean)), ` ${unit()}`);
      const body = figure.appendChild(element("pre"));
      for (let i = passage.from; i < passage.to; i++) {
        const token = body.appendChild(element("i", styleOf(values[i]), readable(text.tokens[i], true)));
        token.dataset.i = i;
        if (wanted && text.tokens[i].toLowerCase().includes(wanted)) token.classList.add("hit");
      }
    }
    until += PAGE;
    byId("passages").append(page);
    byId("more").hidden = until >= shown.length;
  }
  // Token types that gain and lose most, by what all their occurrences in the passages hold.
  function types() {
    const by = new Map();
    for (const { from, to } of shown) {
      for (let i = from; i < to; i++) {
        const found = by.get(text.tokens[i]);
        if (found) found.push(i); else by.set(text.tokens[i], [i]);
      }
    }
    const all = [...by].map(([token, places]) => ({ token, count: places.length, ...total(0, places.length, (i) => places[i]) }));
    all.sort((a, b) => b.gain - a.gain);
    const names = colourBy.value === "lms" ? [`${first.selectedOptions[0]?.text} predicts better`, `${second.selectedOptions[0]?.text} predicts better`] : ["Tokens that weigh more", "Tokens that weigh less"];
    const listed = [all.filter((t) => t.gain > 0).slice(0, TYPES), all.filter((t) => t.gain < 0).slice(-TYPES).reverse()];
    byId("types").replaceChildren(...listed.map((some, side) => {
      const box = element("div", "scroll"), made = box.appendChild(element("table", "types"));
      made.createCaption().textContent = names[side];
      const head = made.createTHead().insertRow(), body = made.createTBody();
      for (const name of ["token", colourBy.value === "lms" ? "better by" : "weight", "count"]) { const cell = head.appendChild(element("th", name === "token" ? "" : "num", name)); cell.scope = "col"; }
      for (const { token, mean, count } of some) {
        const row = body.insertRow();
        row.insertCell().append(element("code", styleOf(mean), readable(token, false)));
        row.append(element("td", "num", reading(mean)), element("td", "num", String(count)));
      }
      return box;
    }));
  }
  function legend() {
    const host = byId("scale"), ends = colourBy.value === "lms" ? ["worse", "better"] : ["less", "more"];
    host.replaceChildren(element("span", "", ends[0]));
    for (let step = -STEPS; step <= STEPS; step++) host.append(element("b", styleOf(step * scale), reading(step * scale)));
    host.append(element("span", "", ends[1]));
  }
  function update() { measure(); legend(); filter(); types(); }
  function options(select, names) {
    select.replaceChildren(...names.map((name, i) => { const made = element("option", "", name); made.value = i; return made; }));
  }
  function mode() {
    const lms = colourBy.value === "lms", names = lms ? text.lms : text.benchmarks;
    byId("token-a-label").textContent = lms ? "Model" : "Benchmark";
    byId("token-b-row").hidden = colourBy.value === "salience";
    options(first, names);
    options(second, names);
    second.selectedIndex = Math.min(1, names.length - 1);
    follow();
    update();
  }
  function follow() {
    const name = colourBy.value === "lms" ? state.lm : state.benchmark;
    const i = (colourBy.value === "lms" ? text.lms : text.benchmarks).indexOf(name);
    if (i < 0 || Number(first.value) === i) return false;
    first.value = i;
    return true;
  }
  function begin() {
    unpack(csvjax.data.tokens);
    [...new Set(passages.map(({ kind }) => kind))].forEach((kind) => { domain.append(element("option", "", kind)); });
    controls.forEach((control) => { if (control.tagName === "SELECT") control.selectedIndex = 0; else control.value = ""; });
    mode();
  }
  // The text is long, so it follows a choice only when it is in view.
  let visible = false, stale = true;
  function refresh() {
    if (!visible || !stale || !csvjax.data) return;
    stale = false;
    if (!text) begin();
    else if (follow()) update();
  }
  new IntersectionObserver(([entry]) => { visible = entry.isIntersecting; refresh(); }, { rootMargin: "300px" }).observe(byId("tokens"));
  document.addEventListener("chosen", () => { stale = true; refresh(); });
  colourBy.addEventListener("change", mode);
  for (const select of [first, second]) select.addEventListener("change", update);
  for (const select of [domain, order]) select.addEventListener("change", () => { filter(); types(); });
  let typed;
  find.addEventListener("input", () => { clearTimeout(typed); typed = setTimeout(() => { filter(); types(); }, 120); });
  byId("token-choices").addEventListener("submit", (event) => event.preventDefault());
  byId("more").addEventListener("click", more);

  const tip = byId("tip");
  let on = null;
  function point(event) {
    const token = event.target.closest ? event.target.closest("[data-i]") : null;
    if (on) on.classList.remove("on");
    on = token;
    tip.hidden = !token;
    if (!token) return;
    token.classList.add("on");
    tip.textContent = `${reading(values[token.dataset.i])} ${unit()}`;
    const box = token.getClientRects()[0], width = tip.offsetWidth;
    tip.style.left = `${Math.max(4, Math.min(window.innerWidth - width - 4, box.left + box.width / 2 - width / 2))}px`;
    tip.style.top = `${box.top > 40 ? box.top - tip.offsetHeight - 6 : box.bottom + 6}px`;
  }
  document.addEventListener("pointerover", point);
  document.addEventListener("click", point);
  document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
})();
