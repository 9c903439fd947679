// One project: its sweeps, and all its runs together.
import { byId } from "./dom.js";
import { getJson, poll } from "./net.js";
import { isLive, makeSweepTable } from "./sweeplist.js";
import { openWorkspace } from "./workspace.js";

const base = location.pathname.split("/").slice(0, 3).join("/");
const { runs, address } = openWorkspace(base, base);
const { entity, project } = byId("sweeps").dataset;

poll(async () => {
  const { groups } = await getJson("/sweeps.json");
  const group = groups.find((found) => found.entity === entity && found.project === project);
  byId("sweeps").replaceChildren(makeSweepTable(group));
  // What the runs are compared by: what was asked for, else what the newest sweep looks for.
  const [newest] = group.sweeps.filter((sweep) => sweep.metric);
  const metric = address.get("metric") || newest?.metric || "";
  const goal = newest?.goal ?? "maximize";
  runs.wanted = { metric, goal };
  await runs.refresh(`&best=${encodeURIComponent(metric)}&goal=${goal}`);
  return isLive(group.sweeps) ? 4_000 : 15_000;
});
