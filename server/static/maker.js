// Makes a sweep from YAML that is typed, pasted or uploaded, checked by the server as one types.
import { byId, debounce, make } from "./dom.js";
import { count } from "./format.js";
import { postForm } from "./net.js";

export function bindMaker() {
  const dialog = byId("maker");
  const config = byId("config");
  byId("new").addEventListener("click", () => dialog.showModal());
  byId("close").addEventListener("click", () => dialog.close());
  const check = debounce(async () => show(await (await postForm("/check-sweep", { config: config.value })).json()), 250);
  config.addEventListener("input", () => {
    byId("make").disabled = true;
    check();
  });
  byId("upload").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    if (!file) return;
    config.value = await file.text();
    check();
  });
}

function show(answer) {
  byId("make").disabled = Boolean(answer.empty || answer.problems.length);
  const warnings = answer.warnings.length ? [makeList(answer.warnings, "note")] : [];
  if (answer.empty) byId("checked").replaceChildren();
  else if (answer.problems.length) byId("checked").replaceChildren(makeList(answer.problems, "problem"), ...warnings);
  else byId("checked").replaceChildren(make("p", { class: "ok" }, describe(answer)), ...warnings);
}

function describe({ method, expected, searched, metric }) {
  const runs = expected === null ? "runs without an end (give run_cap to bound them)" : count(expected, "run");
  const over = searched.length ? ` over ${searched.join(", ")}` : "";
  return `✓ A ${method} search: ${runs}${over}${metric ? `, by ${metric}` : ""}.`;
}

const makeList = (lines, kind) => make("ul", { class: kind }, lines.map((line) => make("li", {}, line)));
