// Small line charts, a panel each: a run's metrics, several runs' metrics, a machine's load.
import { make } from "./dom.js";
import { smooth } from "./curves.js";
import { showNumber } from "./format.js";
import { COLORS, DASHES } from "./palette.js";
import { draw, escapeText } from "./plot.js";

const UNITS = { epoch: "epoch", step: "step", time: "seconds" };

/**
 * Draws one chart for each name into a grid, keeping the panels that are there.
 * `series` maps a name to [{ label, x, y, color, dash }]; returns when all are drawn.
 */
export async function drawCharts(place, series, { axis, smoothing = 0, isLog = false, low = {} }) {
  const names = [...series.keys()];
  const panels = new Map([...place.children].map((panel) => [panel.dataset.name, panel]));
  const wanted = names.map((name) => panels.get(name) ?? makePanel(name));
  if (wanted.some((panel, i) => place.children[i] !== panel) || place.children.length !== wanted.length) place.replaceChildren(...wanted);
  for (const [i, name] of names.entries()) await drawOne(wanted[i], name, series.get(name), { axis, smoothing, isLog, low });
}

/** Orders metrics as people look at them: validation, training, others. */
export function compareNames(a, b) {
  const rank = (name) => ["val/", "test/", "train/"].findIndex((part) => name.startsWith(part));
  const place = (name) => (rank(name) < 0 ? 9 : rank(name));
  return place(a) - place(b) || (a < b ? -1 : 1);
}

function makePanel(name) {
  const id = `chart ${name}`.replaceAll(/[^\w-]+/g, "-");
  return make(
    "section",
    { class: "panel", "data-name": name, "aria-labelledby": id },
    make("header", {}, make("h2", { id }, name), make("small", {})),
    make("div", { class: "figure", tabindex: "0", role: "img" }),
  );
}

function drawOne(panel, name, lines, { axis, smoothing, isLog }) {
  const traces = lines.map(({ label, x, y, color = COLORS[0], dash = DASHES[0] }) => ({
    type: "scatter",
    mode: y.length === 1 ? "markers" : "lines",
    name: escapeText(label),
    x,
    y: smooth(y, smoothing),
    line: { color, dash, width: 1.8 },
    marker: { color },
    hovertemplate: `${lines.length > 1 ? `${escapeText(label, 30)}: ` : ""}%{y:.4~g} at %{x}<extra></extra>`,
  }));
  const lasts = lines.filter(({ y }) => y.length).map(({ label, y }) => `${lines.length > 1 ? `${label} ` : ""}${showNumber(y.at(-1))}`);
  panel.querySelector("small").textContent = lines.length === 1 ? (lasts[0] ?? "") : "";
  const words = `${name} over ${UNITS[axis]}; last: ${lasts.join(", ") || "nothing yet"}.`;
  const layout = { height: 220, margin: { l: 48, r: 10, t: 6, b: 36 }, xaxis: { title: { text: UNITS[axis] } }, yaxis: { type: isLog ? "log" : "linear" }, uirevision: `${axis}${isLog}` };
  return draw(panel.querySelector(".figure"), traces, layout, words);
}
