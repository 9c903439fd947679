// The table of runs: sorted, paged, with chosen and pinned columns. Plain code: what it needs is
// shorter than a table library's settings, and libraries write inline styles that our pages forbid.
import { byId, make } from "./dom.js";
import { count, showDuration, showTime, showValue } from "./format.js";

const SHOWN_METRICS = 3;
const PAGES = [25, 50, 100, 250];

export class RunTable {
  constructor(runs, base) {
    this.runs = runs;
    this.base = base;
    this.place = byId("table");
    this.pager = byId("pager");
    runs.addEventListener("rows", () => this.draw());
    runs.addEventListener("shown", () => this.draw());
    runs.addEventListener("chosen", () => this.markChosen());
    byId("csv").addEventListener("click", () => this.exportCsv());
    byId("compare").addEventListener("click", () => this.compare());
  }

  /** The columns shown, pinned ones first: chosen in the address, else what a sweep asks for. */
  listColumns() {
    const { address, columns } = this.runs;
    const asked = address.getList("cols").map((key) => columns.get(key)).filter(Boolean);
    const shown = asked.length ? asked : this.listDefaults();
    const pinned = new Set(address.getList("pin"));
    return [...shown.filter((c) => pinned.has(c.key)), ...shown.filter((c) => !pinned.has(c.key))];
  }

  listDefaults() {
    const all = [...this.runs.columns.values()];
    const metrics = all.filter((c) => c.group === "Metrics" && !c.label.startsWith("best/"));
    const about = ["r.state", "r.epoch", "r.duration", "r.host", "r.note"];
    return [
      ...all.filter((c) => c.group === "Swept"),
      ...metrics.slice(0, SHOWN_METRICS),
      ...about.map((key) => this.runs.columns.get(key)).filter((c) => this.hasValues(c)),
    ];
  }

  hasValues(column) {
    for (const row of this.runs.rows.values()) if (column.read(row)) return true;
    return column.key === "r.state";
  }

  draw() {
    if (!this.runs.columns) return;
    const { shown, address } = this.runs;
    const columns = this.listColumns();
    const perPage = Number(address.get("rows")) || 50;
    const nPages = Math.max(1, Math.ceil(shown.length / perPage));
    const page = Math.min(Math.max(Number(address.get("page")) || 1, 1), nPages);
    const first = (page - 1) * perPage;
    const rows = shown.slice(first, first + perPage);
    const body = make("tbody", {}, rows.map((row) => this.makeRow(row, columns)));
    const table = make("table", { "aria-rowcount": shown.length + 1 }, this.makeHead(columns), body);
    const focused = this.place.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
    this.place.replaceChildren(table);
    if (focused) this.place.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
    if (!rows.length) {
      const text = this.runs.rows.size ? "No run passes the filter." : "No runs yet.";
      body.append(make("tr", {}, make("td", { colspan: columns.length + 2 }, text)));
    }
    this.drawPager(first, rows.length, page, nPages, perPage);
    this.placePinned(columns);
    this.markChosen();
  }

  makeHead(columns) {
    const { key, down } = this.runs.order;
    const all = make("input", { type: "checkbox", "aria-label": "Select the runs of this page", onchange: (event) => this.selectPage(event.target.checked) });
    const cells = columns.map((column) => {
      const isSorted = column.key === key;
      const button = make(
        "button",
        { type: "button", "data-focus": column.key, onclick: () => this.sortBy(column.key) },
        this.runs.nameColumn(column),
        make("span", { class: "arrow", "aria-hidden": "true" }, isSorted ? (down ? "↓" : "↑") : ""),
      );
      return make("th", { scope: "col", class: column.isNumber ? "n" : null, "aria-sort": isSorted ? (down ? "descending" : "ascending") : "none", "data-key": column.key }, button);
    });
    return make("thead", {}, make("tr", {}, make("th", { class: "pinned" }, all), make("th", { scope: "col", class: "pinned" }, "Run"), cells));
  }

  makeRow(row, columns) {
    const box = make("input", {
      type: "checkbox",
      checked: this.runs.selected.has(row.id),
      "data-focus": `select ${row.id}`,
      "aria-label": `Select ${row.name}`,
      onchange: (event) => this.runs.select(row.id, event.target.checked),
    });
    const swatch = make("span", { class: "swatch" });
    swatch.style.background = this.runs.colors?.of(row) ?? "";
    const link = make("a", { class: "run-name", href: `${this.base}/runs/${encodeURIComponent(row.id)}`, title: `${row.name} (${row.id})` }, row.name);
    const metric = this.runs.metricColumn?.key;
    return make(
      "tr",
      {
        "data-run": row.id,
        class: row.queued ? "queued" : null,
        onmouseenter: () => this.runs.lookAt(row.id),
        onmouseleave: () => this.runs.lookAt(null),
        onfocusin: () => this.runs.lookAt(row.id),
      },
      make("td", { class: "pinned" }, box),
      make("th", { scope: "row", class: "pinned" }, swatch, link),
      columns.map((column) => {
        const kind = column.isNumber ? "n" : column.key === "r.note" ? "text" : "";
        return make("td", { class: `${kind} ${column.key === metric ? "best" : ""}`.trim() || null, "data-key": column.key }, showCell(column, row));
      }),
    );
  }

  sortBy(key) {
    const { address, columns } = this.runs;
    const now = this.runs.order;
    const startsDown = columns.get(key).group === "Metrics" && this.runs.largest;
    const down = now.key === key ? !now.down : startsDown;
    address.set("sort", `${down ? "-" : ""}${key}`);
    address.set("page", "1");
    this.runs.arrange();
  }

  drawPager(first, n, page, nPages, perPage) {
    const { address, shown } = this.runs;
    const go = (to) => {
      address.set("page", to);
      this.draw();
      this.pager.querySelector("select").focus();
    };
    const rows = make("select", { "aria-label": "Rows on a page", onchange: (event) => { address.set("rows", event.target.value); address.set("page", 1); this.draw(); } },
      PAGES.map((size) => make("option", { value: size }, `${size} rows`)));
    rows.value = String(perPage);
    const text = shown.length ? `${first + 1}–${first + n} of ${count(shown.length, "run")}` : "0 runs";
    this.pager.replaceChildren(
      make("button", { type: "button", disabled: page === 1, onclick: () => go(page - 1) }, "Previous"),
      make("span", {}, text),
      make("button", { type: "button", disabled: page === nPages, onclick: () => go(page + 1) }, "Next"),
      rows,
    );
  }

  /** Lets the name and the pinned columns stay while the others scroll under them. */
  placePinned(columns) {
    const pinned = new Set(this.runs.address.getList("pin"));
    const isNarrow = matchMedia("(max-width: 40rem)").matches;
    const n = isNarrow ? 0 : 2 + columns.filter((column) => pinned.has(column.key)).length;
    const head = this.place.querySelector("thead tr");
    let left = 0;
    const lefts = [...head.children].slice(0, n).map((cell) => {
      const at = left;
      left += cell.offsetWidth;
      return at;
    });
    for (const tr of this.place.querySelectorAll("tr")) {
      lefts.forEach((at, i) => {
        const cell = tr.children[i];
        if (!cell || cell.colSpan > 1) return;
        cell.classList.add("pinned");
        cell.classList.toggle("edge", i === n - 1);
        cell.style.left = `${at}px`;
      });
    }
  }

  markChosen() {
    for (const tr of this.place.querySelectorAll("tbody tr[data-run]")) {
      const chosen = this.runs.selected.has(tr.dataset.run);
      tr.classList.toggle("selected", chosen);
      tr.querySelector("input").checked = chosen;
    }
    const n = this.runs.selected.size;
    byId("compare").disabled = n < 2;
    byId("compare").textContent = n ? `Compare ${count(n, "run")}` : "Compare selected";
  }

  selectPage(isSelected) {
    for (const tr of this.place.querySelectorAll("tbody tr[data-run]")) this.runs.select(tr.dataset.run, isSelected);
  }

  compare() {
    const ids = [...this.runs.selected].map(encodeURIComponent).join(",");
    const metric = this.runs.metric ? `&metric=${encodeURIComponent(this.runs.metric)}` : "";
    const goal = this.runs.largest ? "" : "&goal=minimize";
    location.href = `${this.base}/compare?runs=${ids}${metric}${goal}`;
  }

  /** Saves what the table shows, all pages, in its order. */
  exportCsv() {
    const columns = this.listColumns();
    const quote = (value) => {
      let text = value === null || value === undefined ? "" : String(value);
      if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`; // no formula for a spreadsheet
      return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    const head = ["run", "name", ...columns.map((column) => this.runs.nameColumn(column)), "synthetic"];
    const lines = this.runs.shown.map((row) => [row.id, row.name, ...columns.map((column) => column.read(row)), row.synthetic]);
    const text = [head, ...lines].map((line) => line.map(quote).join(",")).join("\n");
    const link = make("a", { href: URL.createObjectURL(new Blob([`${text}\n`], { type: "text/csv" })), download: "runs.csv" });
    link.click();
    URL.revokeObjectURL(link.href);
  }
}

function showCell(column, row) {
  const value = column.read(row);
  if (column.key === "r.state") return make("span", { class: `state ${row.state}` }, row.queued ? "queued" : row.state);
  if (column.key === "r.duration") return showDuration(value);
  if (column.key === "r.created") return showTime(value);
  if (column.key === "r.note") return value ?? "";
  return showValue(value);
}
