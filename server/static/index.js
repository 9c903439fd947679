// Every project and sweep, live; the dialog that makes a sweep.
import { Address, bind } from "./address.js";
import { byId, make } from "./dom.js";
import { count } from "./format.js";
import { bindMaker } from "./maker.js";
import { getJson, poll } from "./net.js";
import { isLive, makeSweepTable } from "./sweeplist.js";

const address = new Address({ q: "" });
let groups = [];
bind(address, "q", byId("filter"), draw);
bindMaker();

poll(async () => {
  ({ groups } = await getJson("/sweeps.json"));
  draw();
  return isLive(groups.flatMap((group) => group.sweeps)) ? 3_000 : 15_000;
});

function draw() {
  const words = address.get("q").toLowerCase().split(/\s+/).filter(Boolean);
  const passes = (group, sweep) => {
    const text = `${group.entity}/${group.project} ${sweep.display_name} ${sweep.name} ${sweep.state} ${sweep.method} ${sweep.metric}`.toLowerCase();
    return words.every((word) => text.includes(word));
  };
  const parts = groups
    .map((group) => ({ ...group, sweeps: group.sweeps.filter((sweep) => passes(group, sweep)) }))
    .filter((group) => !words.length || group.sweeps.length)
    .map((group) => makeGroup(group));
  if (parts.length) byId("groups").replaceChildren(...parts);
  else if (groups.length) byId("groups").replaceChildren(make("p", {}, "No sweep passes the filter."));
}

function makeGroup(group) {
  const name = `${group.entity}/${group.project}`;
  const href = `/${encodeURIComponent(group.entity)}/${encodeURIComponent(group.project)}`;
  const id = `group ${name}`.replaceAll(" ", "-");
  return make(
    "section",
    { class: "panel flush", "aria-labelledby": id },
    make("header", {}, make("h2", { id }, make("a", { href }, name)), make("small", {}, `${count(group.sweeps.length, "sweep")}, ${count(group.n_runs, "run")}`)),
    make("div", { class: "scroll", tabindex: "0", role: "region", "aria-labelledby": id }, makeSweepTable(group)),
  );
}
