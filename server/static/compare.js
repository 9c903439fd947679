// Runs side by side: their metrics and curves; settings, matrices and cells come with the page.
import { Address, bind } from "./address.js";
import { compareNames, drawCharts } from "./charts.js";
import { byId, fillSelect, make } from "./dom.js";
import { showNumber } from "./format.js";
import { getJson } from "./net.js";
import { COLORS, DASHES } from "./palette.js";
import { onScheme } from "./plot.js";

const base = location.pathname.split("/").slice(0, 3).join("/");
const address = new Address({ runs: "", x: "epoch", smooth: "0", log: "", metric: "", goal: "" });
const swatches = [...document.querySelectorAll("[data-run]")];
const ids = [...new Set(swatches.map((swatch) => swatch.dataset.run))];
const look = new Map(ids.map((id, i) => [id, { color: COLORS[i % COLORS.length], dash: DASHES[Math.floor(i / COLORS.length) % DASHES.length] }]));
let answers = [];

for (const swatch of swatches) swatch.style.background = look.get(swatch.dataset.run).color;
byId("show-same")?.addEventListener("change", (event) => {
  for (const row of document.querySelectorAll("tr.same")) row.hidden = !event.target.checked;
});
if (ids.length) {
  bind(address, "x", byId("axis"), load);
  bind(address, "smooth", byId("smoothing"), drawCurves);
  bind(address, "log", byId("log"), drawCurves);
  byId("metric").addEventListener("change", (event) => {
    address.set("metric", event.target.value);
    showMetrics();
  });
  onScheme(drawCurves);
  load();
}

async function load() {
  answers = await Promise.all(ids.map((id) => getJson(`${base}/runs/${encodeURIComponent(id)}/curves.json?x=${address.get("x")}`)));
  showMetrics();
  await drawCurves();
}

const listMetrics = () => [...new Set(answers.flatMap(({ metrics }) => Object.keys(metrics)))].filter((name) => name !== "epoch").sort(compareNames);
const nameRun = (id) => document.querySelector(`th [data-run="${CSS.escape(id)}"]`).parentElement.textContent.trim();

/** Each run's metrics where the chosen one is best, and the last of each where none is. */
function showMetrics() {
  const names = listMetrics();
  if (!names.length) return;
  const by = names.includes(address.get("metric")) ? address.get("metric") : (names.find((name) => name === "val/accuracy") ?? names[0]);
  fillSelect(byId("metric"), names.map((name) => [name, name]), by);
  const sign = address.get("goal") === "minimize" || /loss|hamming|error/.test(by) ? -1 : 1;
  const at = answers.map(({ metrics }) => {
    const [x, y] = metrics[by] ?? [[], []];
    return y.length ? x[y.indexOf(sign * Math.max(...y.map((value) => sign * value)))] : null;
  });
  const read = (i, name) => {
    const [x, y] = answers[i].metrics[name] ?? [[], []];
    const place = x.indexOf(at[i]);
    return place < 0 ? (y.at(-1) ?? null) : y[place];
  };
  const head = make("tr", {}, make("th", { scope: "col" }, `At the best ${by}`), ids.map((id) => make("th", { scope: "col", class: "n" }, nameRun(id))));
  const first = make("tr", {}, make("th", { scope: "row" }, address.get("x")), at.map((x) => make("td", { class: "n" }, x === null ? "–" : showNumber(x))));
  const ordered = [by, ...names.filter((name) => name !== by)];
  const rows = ordered.map((name) => make("tr", {}, make("th", { scope: "row" }, name), ids.map((_, i) => make("td", { class: "n" }, read(i, name) === null ? "–" : showNumber(read(i, name))))));
  byId("metrics").replaceChildren(make("table", {}, make("thead", {}, head), make("tbody", {}, first, rows)));
}

async function drawCurves() {
  const series = new Map(
    listMetrics().map((name) => [
      name,
      ids.flatMap((id, i) => (answers[i].metrics[name] ? [{ label: nameRun(id), x: answers[i].metrics[name][0], y: answers[i].metrics[name][1], ...look.get(id) }] : [])),
    ]),
  );
  await drawCharts(byId("curves"), series, { axis: address.get("x"), smoothing: Number(address.get("smooth")), isLog: address.get("log") === "1" });
}
