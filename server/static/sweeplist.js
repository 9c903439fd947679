// A project's sweeps as a table: state, how far, best value, time left.
import { make } from "./dom.js";
import { showDuration, showNumber, showTime } from "./format.js";

export function makeSweepTable({ entity, project, sweeps }) {
  const base = `/${encodeURIComponent(entity)}/${encodeURIComponent(project)}/sweeps/`;
  const head = ["Sweep", "State", "Runs", "", "Best", "Metric", "Time left", "Agents", "Method", "Created"];
  const rows = sweeps.map((sweep) => {
    const total = sweep.expected ?? sweep.n_runs;
    const bar = make("progress", { max: total || 1, value: Math.min(sweep.n_ended, total || 1), "aria-label": `Runs done of ${sweep.display_name}` });
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, make("a", { href: base + encodeURIComponent(sweep.name) }, sweep.display_name), " ", make("small", {}, sweep.name)),
      make("td", {}, make("span", { class: `state ${sweep.state.toLowerCase()}` }, sweep.state.toLowerCase())),
      make("td", { class: "n" }, `${sweep.n_ended.toLocaleString("en")} / ${sweep.expected?.toLocaleString("en") ?? "–"}`),
      make("td", { class: "bar" }, bar),
      make("td", { class: "n best" }, sweep.best === null ? "–" : showNumber(sweep.best)),
      make("td", {}, sweep.metric ? `${sweep.metric} ${sweep.goal === "maximize" ? "↑" : "↓"}` : "–"),
      make("td", { class: "n" }, showDuration(sweep.time_left_s)),
      make("td", { class: "n" }, sweep.n_alive),
      make("td", {}, sweep.method),
      make("td", {}, showTime(sweep.created)),
    );
  });
  if (!rows.length) rows.push(make("tr", {}, make("td", { colspan: head.length }, "No sweeps.")));
  const right = new Set(["Runs", "Best", "Time left", "Agents"]);
  const cells = head.map((text) => (text ? make("th", { scope: "col", class: right.has(text) ? "n" : null }, text) : make("td", {})));
  return make("table", {}, make("thead", {}, make("tr", {}, cells)), make("tbody", {}, rows));
}

export const isLive = (sweeps) => sweeps.some((sweep) => ["PENDING", "RUNNING", "PAUSED"].includes(sweep.state));
