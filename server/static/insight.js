// The verdict in the report's words, and what mattered, drawn as the report draws it.
import { byId, make } from "./dom.js";
import { showValue } from "./format.js";
import { getJson } from "./net.js";
import { draw, onScheme } from "./plot.js";

export class Insight {
  constructor(runs, address, path) {
    this.runs = runs;
    this.path = path;
    this.figures = [];
    this.isWaiting = false;
    onScheme(() => this.#drawFigures());
  }

  start() {
    this.runs.addEventListener("rows", () => this.refresh());
  }

  /** Asks for the verdict; while runs end it may be a few seconds behind them, and is asked again. */
  async refresh() {
    if (this.isWaiting) return;
    this.isWaiting = true;
    try {
      const answer = await getJson(`${this.path}/verdict.json`);
      this.#show(answer);
      if (!answer.current) setTimeout(() => this.#again(), 5_000);
      else this.isWaiting = false;
    } catch (error) {
      console.warn(error.message);
      this.isWaiting = false;
    }
  }

  #again() {
    this.isWaiting = false;
    this.refresh();
  }

  #show(answer) {
    const { sentences = [], figures = [], problem = "" } = answer;
    const lines = problem ? [problem] : sentences;
    if (!answer.current && !lines.length) return; // the first is still being worked out
    const lead = lines.find((line) => !line.startsWith("Audit:"));
    const text = lines.join("\n");
    if (text !== this.text) byId("verdict").replaceChildren(make("p", { class: "lead" }, lead ?? ""), make("p", {}, lines.filter((line) => line !== lead).join(" ")));
    this.text = text;
    byId("verdict").hidden = !lines.length;
    this.#showConfigurations(answer);
    // Slanted and bold parts of texts would need an inline style, which our pages forbid.
    this.figures = JSON.parse(JSON.stringify(figures).replace(/<\/?[ib]>/g, ""));
    this.#drawFigures();
  }

  /** Which configurations reach the target, each with its interval. */
  #showConfigurations({ configurations = [], metric, level, n_configurations: n }) {
    const place = byId("configurations");
    place.hidden = !configurations.length;
    if (!configurations.length) return;
    const names = Object.keys(configurations[0].swept);
    const heads = [...names, metric, `${100 * level} % interval`, "Chance", "Verdict", "First epoch", "Runs"];
    const rows = configurations.map((one) => {
      const link = `${this.path.split("/").slice(0, 3).join("/")}/runs/${encodeURIComponent(one.run)}`;
      const state = one.trouble ? "failed" : ({ reached: "finished", likely: "running" }[one.status] ?? "");
      return make(
        "tr",
        {},
        names.map((name) => make("td", {}, showValue(one.swept[name]))),
        make("td", { class: "n" }, make("a", { href: link }, one.shown.value ?? "–")),
        make("td", { class: "n" }, one.shown.interval ?? "–"),
        make("td", { class: "n" }, one.shown.chance ?? "–"),
        make("td", {}, make("span", { class: `state ${state}` }, one.trouble ? `${one.status}, ${one.trouble}` : one.status)),
        make("td", { class: "n" }, showValue(one.epoch)),
        make("td", { class: "n" }, one.n_runs),
      );
    });
    const head = make("tr", {}, heads.map((text, i) => make("th", { scope: "col", class: i < names.length || text === "Verdict" ? null : "n" }, text)));
    place.querySelector(".scroll").replaceChildren(make("table", {}, make("thead", {}, head), make("tbody", {}, rows)));
    const cut = configurations.length < n ? `, the first ${configurations.length} of ${n}` : ` (${n})`;
    place.querySelector("summary").textContent = `Configurations, judged one by one${cut}`;
  }

  #drawFigures() {
    const place = byId("figures");
    byId("no-figures").hidden = this.figures.length > 0;
    if (place.dataset.names !== this.figures.map(({ name }) => name).join()) {
      place.dataset.names = this.figures.map(({ name }) => name).join();
      place.replaceChildren(...this.figures.map(() => make("div", {}, make("div", { class: "figure low", tabindex: "0", role: "img" }), make("p", { class: "caption" }))));
    }
    this.figures.forEach(({ data, layout, words }, i) => {
      const [figure, caption] = place.children[i].children;
      caption.textContent = words;
      const bare = data.map((trace) => ({ ...trace, showscale: false })); // cells say their numbers
      draw(figure, bare, { ...layout, margin: { l: 60, r: 16, t: 40, b: 48 } }, words, { automargin: true });
    });
  }
}
