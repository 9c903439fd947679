// One sweep, live.
import { bindActions } from "./actions.js";
import { byId, make } from "./dom.js";
import { count, showAgo, showDuration, showNumber } from "./format.js";
import { Insight } from "./insight.js";
import { poll } from "./net.js";
import { loadPlotly } from "./plot.js";
import { openWorkspace } from "./workspace.js";

const path = location.pathname.replace(/\/$/, "");
const base = path.split("/").slice(0, 3).join("/");
const { runs, address } = openWorkspace(path, base);
const insight = new Insight(runs, address, path);
const LIVE_MS = 2_000;
const QUIET_MS = 10_000;

const again = poll(async () => {
  await runs.refresh();
  return ["PENDING", "RUNNING", "PAUSED"].includes(runs.status.state) ? LIVE_MS : QUIET_MS;
});
loadPlotly(); // after the first question, whose answer takes as long
bindActions(byId("actions"), again);
runs.addEventListener("status", showStatus);
runs.addEventListener("shown", showBest);

function showStatus() {
  const { status } = runs;
  const state = byId("state");
  state.textContent = status.state.toLowerCase();
  state.className = `state ${status.state.toLowerCase()}`;
  byId("reason").textContent = status.state_reason ? `; ${status.state_reason}` : "";
  const total = status.expected ?? status.n_runs;
  byId("progress").replaceChildren(make("b", {}, status.n_ended.toLocaleString("en")), ` of ${total ? total.toLocaleString("en") : "?"}`);
  byId("progress").title = Object.entries(status.counts).map(([name, n]) => `${n} ${name}`).join(", ");
  byId("bar").max = total || 1;
  byId("bar").value = Math.min(status.n_ended, total || 1);
  byId("left").replaceChildren(make("b", {}, status.time_left_s === null ? "–" : showDuration(status.time_left_s)));
  byId("alive").replaceChildren(make("b", {}, status.n_alive), " alive");
  byId("waiting").hidden = status.n_runs > 0;
  showActions(status);
  showAgents(status.agents);
}

/** Offers what the sweep's state allows. */
function showActions({ state, counts }) {
  const open = ["PENDING", "RUNNING", "PAUSED"].includes(state);
  const failed = (counts.crashed ?? 0) + (counts.failed ?? 0) + (counts.killed ?? 0);
  const shown = { pause: state === "PENDING" || state === "RUNNING", resume: state === "PAUSED", retry: failed > 0, stop: open, cancel: open };
  for (const button of byId("actions").querySelectorAll("button")) button.hidden = !shown[button.value];
}

function showAgents(agents) {
  const ordered = [...agents].sort((a, b) => b.alive - a.alive || a.heard_s - b.heard_s);
  const rows = ordered.map((agent) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, `${agent.host} `, make("small", {}, agent.name)),
      make("td", {}, make("span", { class: `state ${agent.alive ? "running" : ""}` }, agent.alive ? "alive" : "silent")),
      make("td", {}, agent.run ? make("a", { href: `${base}/runs/${encodeURIComponent(agent.run)}` }, nameRun(agent.run)) : "–"),
      make("td", { class: "n" }, agent.runs),
      make("td", { class: "n" }, showAgo(agent.heard_s)),
    ),
  );
  if (!rows.length) rows.push(make("tr", {}, make("td", { colspan: 5 }, "None has come yet.")));
  byId("agent-table").tBodies[0].replaceChildren(...rows);
}

const nameRun = (id) => runs.rows.get(id)?.name ?? id;

function showBest() {
  const all = [...runs.rows.values()];
  byId("synthetic").hidden = !all.some((row) => row.synthetic);
  const metric = runs.status?.metric;
  if (!metric) return;
  const read = (row) => row.best[metric];
  const scored = all.filter((row) => Number.isFinite(read(row)));
  const sign = runs.largest ? 1 : -1;
  const best = scored.reduce((a, b) => (a && sign * read(a) >= sign * read(b) ? a : b), null);
  if (best) {
    const link = make("a", { href: `${base}/runs/${encodeURIComponent(best.id)}` }, best.name);
    byId("best").replaceChildren(make("b", {}, showNumber(read(best))), " ", link);
  }
  const target = address.get("target") === "" ? runs.status.target : Number(address.get("target"));
  if (target === null) {
    byId("reached").replaceChildren(make("b", {}, "–"), " no target set");
    return;
  }
  const n = scored.filter((row) => sign * read(row) >= sign * target).length;
  byId("reached-name").textContent = `At the target, ${showNumber(target)}`;
  byId("reached").replaceChildren(make("b", {}, n.toLocaleString("en")), ` of ${count(scored.length, "run")}`);
}

insight.start();
