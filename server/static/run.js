// One run, live.
import { bindActions } from "./actions.js";
import { Address, bind } from "./address.js";
import { compareNames, drawCharts } from "./charts.js";
import { Console } from "./console.js";
import { byId, make } from "./dom.js";
import { showAgo, showDuration, showValue } from "./format.js";
import { getJson, poll } from "./net.js";
import { onScheme } from "./plot.js";
import { bindTabs } from "./tabs.js";

const path = location.pathname.split("/").slice(0, 5).join("/");
const address = new Address({ x: "epoch", smooth: "0", log: "" });
const output = new Console(path);
let tab = "overview";
let life = null;
let curves = new Map();
let system = null;
let seen = { lines: -1, axis: "", events: -1, files: null };

bind(address, "x", byId("axis"), refreshCurves);
bind(address, "smooth", byId("smoothing"), drawCurves);
bind(address, "log", byId("log"), drawCurves);
onScheme(() => {
  drawCurves();
  drawSystem();
});

const again = poll(async () => {
  life = await getJson(`${path}/live.json?output=${output.next}`);
  showLife();
  output.add(life.output);
  await Promise.all([refreshCurves(), refreshSystem()]);
  return life.live ? 2_000 : 15_000;
});
bindActions(byId("actions"), again);
bindTabs(document.querySelector('[role="tablist"]'), (opened) => {
  tab = opened;
  refreshCurves();
  refreshSystem();
  output.scroll();
});

function showLife() {
  const state = byId("state");
  state.textContent = life.state;
  state.className = `state ${life.state}`;
  byId("duration").textContent = showDuration(life.duration_s);
  byId("actions").hidden = !life.live;
  if (life.live && life.heard_s !== null) byId("heard").textContent = showAgo(life.heard_s);
  const reasons = [life.stop_reason && `Stopped: ${life.stop_reason}.`, life.state_reason !== life.stop_reason && life.state_reason && `${life.state_reason}.`].filter(Boolean);
  if (reasons.length && byId("stopped").hidden) {
    byId("stopped").textContent = reasons.join(" ");
    byId("stopped").hidden = false;
  }
  const rows = Object.entries(life.summary).sort(([a], [b]) => (a < b ? -1 : 1));
  if (rows.length && life.live) {
    byId("summary").tBodies[0].replaceChildren(...rows.map(([name, value]) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, showValue(value)))));
  }
}

async function refreshCurves() {
  if (tab !== "workspace" || !life) return;
  const axis = address.get("x");
  if (seen.lines === life.n_lines && seen.axis === axis) return;
  seen = { ...seen, lines: life.n_lines, axis };
  const { metrics } = await getJson(`${path}/curves.json?x=${axis}`);
  curves = new Map(Object.entries(metrics).sort(([a], [b]) => compareNames(a, b)).map(([name, [x, y]]) => [name, [{ label: name, x, y }]]));
  if (axis === "epoch") curves.delete("epoch");
  await drawCurves();
}

async function drawCurves() {
  if (tab !== "workspace") return;
  if (!curves.size) byId("curves").replaceChildren(make("p", { class: "caption" }, "Nothing logged yet."));
  else await drawCharts(byId("curves"), curves, { axis: address.get("x"), smoothing: Number(address.get("smooth")), isLog: address.get("log") === "1" });
}

async function refreshSystem() {
  if (tab !== "system" || !life || seen.events === life.n_events) return;
  seen = { ...seen, events: life.n_events };
  ({ metrics: system } = await getJson(`${path}/system.json`));
  await drawSystem();
}

async function drawSystem() {
  if (tab !== "system" || !system) return;
  const named = new Map(Object.entries(system).map(([name, [x, y]]) => [name.replace(/^system\./, ""), [{ label: name, x, y }]]));
  if (!named.size) byId("system").replaceChildren(make("p", { class: "caption" }, "The client has not sent any: it does every 15 s."));
  else await drawCharts(byId("system"), named, { axis: "time" });
}
