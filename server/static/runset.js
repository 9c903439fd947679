// The runs of a view: fetched once, then only what has changed; filtered, brushed, sorted here.
import { readFilter } from "./filter.js";
import { colorRuns } from "./palette.js";
import { getJson } from "./net.js";

const ABOUT = {
  state: ["State", (row) => row.state],
  duration: ["Duration", (row) => (row.started ? (row.finished ?? Date.now() / 1000) - row.started : null)],
  host: ["Host", (row) => row.host],
  created: ["Created", (row) => row.created],
  epoch: ["Best epoch", (row) => row.at.epoch ?? null],
  steps: ["Lines", (row) => row.steps],
  tags: ["Tags", (row) => row.tags.join(", ")],
  group: ["Group", (row) => row.group],
  sweep: ["Sweep", (row) => row.sweep],
  attempt: ["Attempt", (row) => row.attempt],
  note: ["Note", (row) => row.note],
};
export const ENDED = ["finished", "failed", "crashed", "killed"];

/** Emits "rows" (data came), "shown" (filter, brush or order changed), "chosen", "look". */
export class RunSet extends EventTarget {
  constructor(path, address) {
    super();
    this.path = path;
    this.address = address;
    this.rows = new Map();
    this.boot = "";
    this.revision = 0;
    this.status = null;
    this.swept = [];
    this.metrics = [];
    this.shown = [];
    this.brushes = readBrushes(address.get("brush"));
    this.selected = new Set(address.getList("sel"));
    this.problem = "";
    this.loaded = false;
    this.query = "";
    this.wanted = null;
  }

  /** Fetches what has changed; returns whether any run has. */
  async refresh(query = "") {
    this.query = query;
    const answer = await getJson(`${this.path}/table.json?since=${this.revision}&boot=${this.boot}${query}`);
    if (answer.all) this.rows.clear();
    this.boot = answer.boot;
    this.revision = answer.revision;
    this.status = answer.status ?? null;
    if (answer.swept) this.swept = answer.swept;
    if (answer.metrics) this.metrics = answer.metrics;
    for (const row of answer.runs) {
      row.text = null;
      this.rows.set(row.id, row);
    }
    const changed = answer.runs.length > 0 || answer.all || !this.loaded;
    this.loaded = true;
    if (changed) {
      this.#listColumns();
      this.arrange();
    }
    this.dispatchEvent(new CustomEvent("status"));
    if (changed) this.dispatchEvent(new CustomEvent("rows"));
    return changed;
  }

  get metric() {
    return this.status?.metric || this.wanted?.metric || this.metrics[0] || null;
  }

  get largest() {
    return (this.status?.goal ?? this.wanted?.goal ?? "maximize") === "maximize";
  }

  get mode() {
    return this.address.get("values");
  }

  #listColumns() {
    const rows = [...this.rows.values()];
    const settings = new Set(rows.flatMap((row) => Object.keys(row.config)));
    const last = new Set(rows.flatMap((row) => Object.keys(row.last)));
    const numbers = [...new Set([...this.metrics, ...last])].filter((name) => name !== "epoch");
    const rank = (name) => [name !== this.metric, !name.startsWith("val/"), name.startsWith("best/"), name];
    numbers.sort((a, b) => compareRanks(rank(a), rank(b)));
    const swept = this.swept.filter((name) => settings.has(name));
    this.columns = new Map();
    const add = (key, label, group, read) => this.columns.set(key, { key, label, group, read });
    for (const name of swept) add(`c.${name}`, name, "Swept", (row) => row.config[name]);
    for (const name of numbers) add(`m.${name}`, name, "Metrics", (row) => this.readMetric(row, name));
    for (const [name, [label, read]] of Object.entries(ABOUT)) add(`r.${name}`, label, "About", read);
    for (const name of [...settings].filter((name) => !swept.includes(name)).sort()) {
      add(`c.${name}`, name, "Settings", (row) => row.config[name]);
    }
    for (const column of this.columns.values()) {
      column.isNumber = false;
      for (const row of rows) {
        const value = column.read(row);
        if (value === null || value === undefined) continue;
        column.isNumber = typeof value === "number";
        if (!column.isNumber) break;
      }
    }
  }

  readMetric(row, name) {
    const values = this.mode === "last" ? row.last : row.best;
    return values[name] ?? row.last[name] ?? null;
  }

  /** The label of a column, a metric's with where its value is from. */
  nameColumn(column) {
    return column.group === "Metrics" && !column.label.startsWith("best/") ? `${column.label} (${this.mode})` : column.label;
  }

  /** The column that a person means by a name, or null. */
  findColumn(name) {
    const exact = this.columns.get(name);
    if (exact) return exact;
    const wanted = name.toLowerCase();
    for (const column of this.columns.values()) if (column.label.toLowerCase() === wanted) return column;
    for (const column of this.columns.values()) if (column.key === `r.${wanted}`) return column;
    return null;
  }

  get metricColumn() {
    return this.columns?.get(`m.${this.metric}`) ?? null;
  }

  /** Applies filter, brushes and order. */
  arrange() {
    if (!this.columns) return;
    const filter = readFilter(this.address.get("q"), (name) => this.findColumn(name)?.read ?? null, readTexts);
    this.problem = filter.problem;
    this.filtered = [...this.rows.values()].filter(filter.test);
    const tests = [...this.brushes].map(([key, range]) => this.#buildBrush(key, range)).filter(Boolean);
    this.shown = this.filtered.filter((row) => tests.every((test) => test(row)));
    this.#sort();
    this.#color();
    this.dispatchEvent(new CustomEvent("shown"));
  }

  #buildBrush(key, [low, high]) {
    const column = this.columns.get(key);
    if (!column) return null;
    if (column.isNumber) return (row) => column.read(row) >= low && column.read(row) <= high && column.read(row) !== null;
    const places = this.listCategories(column);
    return (row) => {
      const place = places.get(String(column.read(row) ?? "–"));
      return place >= low && place <= high;
    };
  }

  /** The places of a column's texts on an axis. */
  listCategories(column) {
    const texts = new Set();
    for (const row of this.rows.values()) texts.add(String(column.read(row) ?? "–"));
    return new Map([...texts].sort().map((text, i) => [text, i]));
  }

  get order() {
    const asked = this.address.get("sort");
    if (asked) return { key: asked.replace(/^-/, ""), down: asked.startsWith("-") };
    if (this.metricColumn) return { key: this.metricColumn.key, down: this.largest };
    return { key: "r.created", down: true };
  }

  #sort() {
    const { key, down } = this.order;
    const column = this.columns.get(key);
    if (!column) return;
    const sign = down ? -1 : 1;
    const keyed = this.shown.map((row) => [column.read(row), row]);
    keyed.sort(([a, p], [b, q]) => {
      const noA = a === null || a === undefined;
      const noB = b === null || b === undefined;
      if (noA || noB) return noA - noB || p.created - q.created;
      if (a === b) return p.created - q.created;
      return (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true })) * sign;
    });
    this.shown = keyed.map(([, row]) => row);
  }

  get colorColumn() {
    return this.columns.get(this.address.get("color")) ?? this.metricColumn ?? this.columns.get("r.state");
  }

  #color() {
    const column = this.colorColumn;
    this.colors = column ? colorRuns([...this.rows.values()], column.read, column.isNumber) : null;
  }

  recolor() {
    if (this.columns) this.#color();
  }

  setBrush(key, range) {
    if (range) this.brushes.set(key, range);
    else this.brushes.delete(key);
    this.address.set("brush", writeBrushes(this.brushes));
    this.address.set("page", "1");
    this.arrange();
  }

  clearAll() {
    this.brushes.clear();
    this.address.set("brush", "");
    this.address.set("q", "");
    this.arrange();
  }

  select(id, isSelected) {
    if (isSelected) this.selected.add(id);
    else this.selected.delete(id);
    this.address.set("sel", [...this.selected]);
    this.dispatchEvent(new CustomEvent("chosen"));
  }

  /** Marks the run that the reader points at, or none. */
  lookAt(id) {
    if (this.looked === id) return;
    this.looked = id;
    this.dispatchEvent(new CustomEvent("look"));
  }
}

function readTexts(row) {
  row.text ??= [row.name, row.id, row.state, row.host, ...row.tags, ...Object.values(row.config)].join(" ").toLowerCase();
  return row.text;
}

function compareRanks(a, b) {
  for (let i = 0; i < a.length; i += 1) if (a[i] !== b[i]) return a[i] < b[i] ? -1 : 1;
  return 0;
}

function readBrushes(text) {
  const parts = (text ?? "").split(";").map((part) => part.split("~"));
  const good = parts.filter(([key, low, high]) => key && low !== "" && high !== "" && !Number.isNaN(Number(low) + Number(high)));
  return new Map(good.map(([key, low, high]) => [decodeURIComponent(key), [Number(low), Number(high)]]));
}

function writeBrushes(brushes) {
  const short = (value) => String(Number(value.toPrecision(6)));
  return [...brushes].map(([key, [low, high]]) => `${encodeURIComponent(key)}~${short(low)}~${short(high)}`).join(";");
}
