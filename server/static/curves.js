// Learning curves: smoothed, over epoch, step or time; every drawn run's, a band over seeds, and
// where all runs shown lie. Runs of one colour are one path: a trace for each would be slow.
import { byId, fillSelect, paced } from "./dom.js";
import { count, showNumber } from "./format.js";
import { getJson } from "./net.js";
import { fade, GREY, scheme } from "./palette.js";
import { draw, escapeText, onScheme, savePicture } from "./plot.js";

const UNITS = { epoch: "epoch", step: "step", time: "seconds" };

/** Exponential moving average as W&B shows it: early values count in full. */
export function smooth(values, weight) {
  if (!weight) return values;
  let last = 0;
  let norm = 0;
  return values.map((value) => {
    last = last * weight + (1 - weight) * value;
    norm = norm * weight + (1 - weight);
    return last / norm;
  });
}

export class Curves {
  constructor(runs, address) {
    this.runs = runs;
    this.address = address;
    this.place = byId("curves");
    this.data = new Map();
    this.boot = "";
    this.revision = 0;
    this.asked = "";
    this.redraw = paced(() => this.#draw());
    runs.addEventListener("rows", () => this.refresh());
    runs.addEventListener("shown", this.redraw);
    for (const name of ["chosen", "look"]) runs.addEventListener(name, this.redraw);
    onScheme(this.redraw);
    document.querySelector('[data-png="curves"]').addEventListener("click", () => savePicture(this.place, `curves ${this.metric}`.replaceAll("/", "-")));
  }

  get metric() {
    return this.address.get("curve") || this.runs.metric || this.runs.metrics[0] || "";
  }

  /** Fetches the curves that have changed. */
  async refresh() {
    if (!this.runs.loaded || !this.metric) return;
    this.#offerMetrics();
    const query = `metric=${encodeURIComponent(this.metric)}&x=${this.address.get("x")}`;
    const isNew = query !== this.asked;
    this.asked = query;
    const since = isNew ? 0 : this.revision;
    const answer = await getJson(`${this.runs.path}/curves.json?${query}&since=${since}&boot=${this.boot}${this.runs.query}`);
    if (query !== this.asked) return;
    if (answer.all) this.data.clear();
    this.boot = answer.boot;
    this.revision = answer.revision;
    for (const [id, curve] of Object.entries(answer.curves)) this.data.set(id, curve);
    this.redraw();
  }

  #offerMetrics() {
    fillSelect(byId("metric"), this.runs.metrics.map((name) => [name, name]), this.metric);
  }

  async #draw() {
    if (!this.revision) return;
    const { runs, address } = this;
    const drawn = runs.shown.filter((row) => this.data.get(row.id)?.[0].length);
    const limit = address.get("drawn") === "all" ? Infinity : Number(address.get("drawn"));
    const some = drawn.slice(0, limit);
    const weight = Number(address.get("smooth"));
    const grouped = address.get("band") ? groupReplicates(drawn, this.data) : [];
    const traces = [];
    if (drawn.length > some.length) traces.push(...buildEnvelope(drawn, this.data));
    if (grouped.length) traces.push(...grouped.slice(0, Math.min(limit, 12)).flatMap((group) => buildBand(group, runs.colors, weight)));
    else traces.push(...buildLines(some, this.data, runs.colors, weight));
    const marked = drawn.filter((row) => row.id === runs.looked || runs.selected.has(row.id));
    traces.push(...buildMarked(marked, this.data, runs.colors, weight));
    const target = address.get("target") === "" ? this.#readTarget() : Number(address.get("target"));
    const words = this.#describe(drawn, some, grouped, target);
    byId("curves-words").textContent = words;
    await draw(this.place, traces, this.#buildLayout(target), words);
    this.place.dataset.runs = String(drawn.length);
    this.#listen();
  }

  #readTarget() {
    return this.metric === this.runs.status?.metric ? this.runs.status.target : null;
  }

  #buildLayout(target) {
    const { address } = this;
    const line = { type: "line", xref: "paper", x0: 0, x1: 1, y0: target, y1: target, line: { dash: "dash", color: scheme().ink, width: 1.5 } };
    const note = { xref: "paper", x: 1, xanchor: "right", y: address.get("log") ? Math.log10(target) : target, yanchor: "bottom", text: `target ${showNumber(target ?? 0)}`, showarrow: false, bgcolor: scheme().ground };
    const hasTarget = target !== null && target !== undefined && Number.isFinite(target);
    return {
      xaxis: { title: { text: UNITS[address.get("x")] }, rangemode: "tozero" },
      yaxis: { title: { text: escapeText(this.metric) }, type: address.get("log") ? "log" : "linear" },
      shapes: hasTarget ? [line] : [],
      annotations: hasTarget ? [note] : [],
      uirevision: `${this.metric} ${address.get("x")} ${address.get("log")}`,
    };
  }

  #describe(drawn, some, grouped, target) {
    const what = `${this.metric} over ${UNITS[this.address.get("x")]}`;
    if (!drawn.length) return `${what}: nothing logged by the runs shown.`;
    const many = drawn.length > some.length ? ` The first ${some.length} of the table's order are drawn; the grey band holds eight in ten of all ${count(drawn.length, "run")}.` : ` ${count(drawn.length, "run")}.`;
    const bands = grouped.length ? ` Lines are means over seeds, bands their range (${count(grouped.length, "configuration")}).` : "";
    const goal = target === null || target === undefined ? "" : ` The dashed line is the target, ${showNumber(target)}.`;
    const smoothed = Number(this.address.get("smooth")) ? ` Smoothed by ${this.address.get("smooth")}.` : "";
    return `${what}.${grouped.length ? bands : many}${goal}${smoothed}`;
  }

  #listen() {
    if (this.listens) return;
    this.listens = true;
    this.place.on("plotly_hover", ({ points }) => {
      const id = points[0]?.customdata;
      if (typeof id === "string") this.runs.lookAt(id);
    });
    this.place.on("plotly_click", ({ points }) => {
      const id = points[0]?.customdata;
      if (typeof id === "string") this.runs.select(id, !this.runs.selected.has(id));
    });
    this.place.addEventListener("mouseleave", () => this.runs.lookAt(null));
  }
}

/** One trace a colour: the lines of its runs with a gap after each. */
function buildLines(rows, data, colors, weight) {
  const parts = new Map();
  for (const row of rows) {
    const key = colors.key(row);
    if (!parts.has(key)) parts.set(key, { color: colors.of(row), x: [], y: [], ids: [], names: [] });
    const part = parts.get(key);
    const [x, y] = data.get(row.id);
    const smoothed = smooth(y, weight);
    for (let i = 0; i < x.length; i += 1) {
      part.x.push(x[i]);
      part.y.push(smoothed[i]);
      part.ids.push(row.id);
      part.names.push(escapeText(row.name, 40));
    }
    part.x.push(null);
    part.y.push(null);
    part.ids.push(null);
    part.names.push("");
  }
  return [...parts.values()].map(({ color, x, y, ids, names }) => ({
    type: "scatter",
    mode: "lines",
    x,
    y,
    customdata: ids,
    text: names,
    hovertemplate: "%{text}: %{y:.4~g} at %{x}<extra></extra>",
    line: { color, width: rows.length > 60 ? 1 : 1.5 },
    opacity: rows.length > 60 ? 0.5 : 0.9,
  }));
}

function buildMarked(rows, data, colors, weight) {
  return rows.slice(0, 20).map((row) => ({
    type: "scatter",
    mode: "lines",
    x: data.get(row.id)[0],
    y: smooth(data.get(row.id)[1], weight),
    hoverinfo: "skip",
    line: { color: colors.of(row), width: 3.2 },
  }));
}

/** Where eight in ten of the runs lie at each x, as a grey band. */
function buildEnvelope(rows, data) {
  const at = new Map();
  for (const row of rows) {
    const [x, y] = data.get(row.id);
    for (let i = 0; i < x.length; i += 1) {
      if (!at.has(x[i])) at.set(x[i], []);
      at.get(x[i]).push(y[i]);
    }
  }
  if (at.size > 2_000) return []; // seconds differ in every run: no two values to compare
  const xs = [...at.keys()].sort((a, b) => a - b);
  for (const values of at.values()) values.sort((a, b) => a - b);
  const pick = (share) => xs.map((x) => at.get(x)[Math.floor(share * (at.get(x).length - 1))]);
  const shared = { type: "scatter", mode: "lines", x: xs, hoverinfo: "skip", line: { width: 0 } };
  return [
    { ...shared, y: pick(0.1) },
    { ...shared, y: pick(0.9), fill: "tonexty", fillcolor: fade(GREY, 0.2) },
  ];
}

/** Runs that differ in their seed alone, two or more, in the table's order. */
export function groupReplicates(rows, data) {
  const groups = new Map();
  for (const row of rows) {
    const config = Object.entries(row.config).filter(([name]) => name !== "seed");
    const key = JSON.stringify(config.sort(([a], [b]) => (a < b ? -1 : 1)));
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(row);
  }
  return [...groups.values()].filter((group) => group.length > 1).map((group) => ({ rows: group, curves: group.map((row) => data.get(row.id)) }));
}

function buildBand({ rows, curves }, colors, weight) {
  const at = new Map();
  for (const [x, y] of curves) {
    const smoothed = smooth(y, weight);
    x.forEach((value, k) => at.set(value, [...(at.get(value) ?? []), smoothed[k]]));
  }
  const xs = [...at.keys()].sort((a, b) => a - b);
  const color = colors.of(rows[0]);
  const mean = xs.map((x) => at.get(x).reduce((a, b) => a + b) / at.get(x).length);
  const shared = { type: "scatter", mode: "lines", x: xs };
  const label = `${escapeText(rows[0].name, 30)} and ${rows.length - 1} more seeds`;
  return [
    { ...shared, y: xs.map((x) => Math.min(...at.get(x))), line: { width: 0 }, hoverinfo: "skip" },
    { ...shared, y: xs.map((x) => Math.max(...at.get(x))), line: { width: 0 }, hoverinfo: "skip", fill: "tonexty", fillcolor: fade(color, 0.18) },
    { ...shared, y: mean, line: { color, width: 2 }, customdata: xs.map(() => rows[0].id), text: xs.map(() => label), hovertemplate: "%{text}: mean %{y:.4~g} at %{x}<extra></extra>" },
  ];
}
