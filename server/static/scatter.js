// A scatter of any two columns; a point is a run.
import { byId, fillSelect, paced } from "./dom.js";
import { count, showValue } from "./format.js";
import { draw, escapeText, onScheme, savePicture } from "./plot.js";

export class Scatter {
  constructor(runs, address) {
    this.runs = runs;
    this.address = address;
    this.place = byId("scatter");
    this.redraw = paced(() => this.#draw());
    for (const name of ["rows", "shown", "chosen", "look"]) runs.addEventListener(name, this.redraw);
    onScheme(this.redraw);
    for (const [id, name] of [["scatter-x", "sx"], ["scatter-y", "sy"]]) {
      byId(id).addEventListener("change", (event) => {
        address.set(name, event.target.value);
        this.redraw();
      });
    }
    document.querySelector('[data-png="scatter"]').addEventListener("click", () => savePicture(this.place, "scatter"));
  }

  #pick(name, otherwise) {
    const { columns } = this.runs;
    return columns.get(this.address.get(name)) ?? otherwise ?? [...columns.values()][0];
  }

  async #draw() {
    const { runs } = this;
    if (!runs.columns) return;
    const all = [...runs.columns.values()];
    const swept = all.filter((column) => column.group === "Swept");
    const x = this.#pick("sx", swept.find((column) => column.isNumber) ?? swept[0]);
    const y = this.#pick("sy", runs.metricColumn);
    this.#offer(all, x, y);
    const rows = runs.shown.filter((row) => has(x.read(row)) && has(y.read(row)));
    const marked = rows.map((row) => runs.selected.has(row.id) || row.id === runs.looked);
    const isStrip = isFew(x, rows);
    const trace = {
      type: "scatter",
      mode: "markers",
      x: rows.map((row) => (isStrip ? showValue(x.read(row)) : shorten(x.read(row)))),
      y: rows.map((row) => shorten(y.read(row))),
      customdata: rows.map((row) => row.id),
      text: rows.map((row) => escapeText(row.name, 40)),
      hovertemplate: "%{text}<br>%{x}, %{y:.4~g}<extra></extra>",
      marker: { color: rows.map(runs.colors.of), size: marked.map((is) => (is ? 13 : 8)), opacity: rows.length > 200 ? 0.6 : 0.85, line: { width: marked.map((is) => (is ? 2 : 0)) } },
    };
    const words = `${runs.nameColumn(y)} by ${runs.nameColumn(x)}, ${count(rows.length, "run")}.`;
    byId("scatter-words").textContent = words;
    await draw(this.place, [trace], { xaxis: isStrip ? this.#buildStrips(x, rows) : this.#buildAxis(x, rows), yaxis: this.#buildAxis(y, rows), uirevision: `${x.key} ${y.key}` }, words);
    this.#listen();
  }

  #buildAxis(column, rows) {
    const values = rows.map(column.read);
    const isLog = column.isNumber && values.length > 0 && Math.min(...values) > 0 && Math.max(...values) / Math.min(...values) >= 20;
    const title = { text: escapeText(this.runs.nameColumn(column)) };
    return { title, type: column.isNumber ? (isLog ? "log" : "linear") : "category", automargin: !column.isNumber };
  }

  /** A place for each of a few values, evenly spaced: 16, 32 and 256 would lie on each other. */
  #buildStrips(column, rows) {
    const values = [...new Set(rows.map(column.read))].sort((a, b) => a - b);
    return { title: { text: escapeText(this.runs.nameColumn(column)) }, type: "category", categoryorder: "array", categoryarray: values.map(showValue) };
  }

  #offer(all, x, y) {
    const options = ["Swept", "Metrics", "About", "Settings"].map((group) => ({
      group,
      options: all.filter((column) => column.group === group).map((column) => [column.key, column.label]),
    }));
    fillSelect(byId("scatter-x"), options, x.key);
    fillSelect(byId("scatter-y"), options, y.key);
  }

  #listen() {
    if (this.listens) return;
    this.listens = true;
    this.place.on("plotly_hover", ({ points }) => this.runs.lookAt(points[0]?.customdata ?? null));
    this.place.on("plotly_click", ({ points }) => {
      const id = points[0]?.customdata;
      if (id) this.runs.select(id, !this.runs.selected.has(id));
    });
    this.place.addEventListener("mouseleave", () => this.runs.lookAt(null));
  }
}

const isFew = (column, rows) => column.isNumber && new Set(rows.map(column.read)).size <= 8;
const has = (value) => value !== null && value !== undefined && value !== "";
const shorten = (value) => (typeof value === "number" ? value : escapeText(value, 24));
