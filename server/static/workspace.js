// What the pages of a sweep and of a project share: the toolbar, figures and table of their runs.
import { Address, bind } from "./address.js";
import { fillColumnMenu } from "./columns.js";
import { Curves } from "./curves.js";
import { byId, debounce, fillSelect, make } from "./dom.js";
import { count, showValue } from "./format.js";
import { ramp } from "./palette.js";
import { Parallel } from "./parallel.js";
import { onScheme } from "./plot.js";
import { RunSet } from "./runset.js";
import { Scatter } from "./scatter.js";
import { RunTable } from "./table.js";

const DEFAULTS = {
  q: "", sort: "", cols: "", pin: "", sel: "", brush: "", color: "", values: "best", axes: "", page: "1", rows: "50",
  curve: "", x: "epoch", smooth: "0", log: "", band: "", target: "", drawn: "50", sx: "", sy: "", metric: "",
};

export function openWorkspace(path, base) {
  const address = new Address(DEFAULTS);
  const runs = new RunSet(path, address);
  const table = new RunTable(runs, base);
  const parallel = new Parallel(runs);
  const curves = new Curves(runs, address);
  new Scatter(runs, address);
  bindToolbar(runs, address);
  bindCurves(curves, address);
  bindMenus(runs, address, table, parallel);
  onScheme(() => {
    runs.recolor();
    if (runs.colors) showLegend(runs);
    table.draw();
    parallel.draw();
  });
  return { runs, address, curves };
}

function bindToolbar(runs, address) {
  const arrange = () => runs.arrange();
  bind(address, "q", byId("filter"), debounce(arrange, 60));
  bind(address, "values", byId("values"), arrange);
  byId("color").addEventListener("change", (event) => {
    address.set("color", event.target.value);
    runs.arrange();
  });
  byId("clear").addEventListener("click", () => {
    byId("filter").value = "";
    runs.clearAll();
  });
  runs.addEventListener("shown", () => {
    const all = runs.rows.size;
    const n = runs.shown.length;
    byId("shown").textContent = n === all ? count(all, "run") : `${n.toLocaleString("en")} of ${count(all, "run")}`;
    byId("clear").hidden = n === all && !runs.brushes.size && !address.get("q");
    byId("filter-problem").hidden = !runs.problem;
    byId("filter-problem").textContent = runs.problem;
    const options = [...runs.columns.values()].filter((column) => column.group !== "Settings").map((column) => [column.key, column.label]);
    fillSelect(byId("color"), options, runs.colorColumn?.key ?? "");
    showLegend(runs);
  });
}

/** Says what the colours mean, in every figure and in the table. */
function showLegend({ colors, colorColumn }) {
  const swatch = (color) => {
    const dot = make("span", { class: "swatch", "aria-hidden": "true" });
    dot.style.background = color;
    return dot;
  };
  const parts = colors.legend.map(([value, color]) => make("span", {}, swatch(color), showValue(value)));
  if (!parts.length && colors.low !== undefined) {
    const shades = make("span", { class: "ramp", "aria-hidden": "true" }, [0, 0.25, 0.5, 0.75, 1].map((share) => swatch(ramp(share))));
    parts.push(make("span", {}, showValue(colors.low), shades, showValue(colors.high)));
  }
  byId("legend").replaceChildren(`Colour is ${colorColumn?.label}:`, ...parts);
}

function bindCurves(curves, address) {
  const metric = byId("metric");
  metric.addEventListener("change", () => {
    address.set("curve", metric.value);
    curves.refresh();
  });
  bind(address, "x", byId("axis"), () => curves.refresh());
  for (const [name, id] of [["smooth", "smoothing"], ["log", "log"], ["band", "band"], ["drawn", "drawn"], ["target", "target"]]) {
    bind(address, name, byId(id), curves.redraw);
  }
}

function bindMenus(runs, address, table, parallel) {
  const keys = (columns) => columns.map((column) => column.key);
  fillColumnMenu(byId("columns"), runs, {
    chosen: () => keys(table.listColumns()),
    setChosen: (chosen) => {
      address.set("cols", chosen);
      table.draw();
    },
    pinned: () => address.getList("pin"),
    setPinned: (pinned) => {
      address.set("pin", pinned);
      table.draw();
    },
  });
  fillColumnMenu(byId("axes"), runs, {
    chosen: () => keys(parallel.listAxes()),
    setChosen: (chosen) => {
      address.set("axes", chosen);
      parallel.draw();
    },
  });
}
