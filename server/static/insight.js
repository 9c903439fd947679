// The verdict in the report's words, and what mattered, drawn as the report draws it.
import { byId, make } from "./dom.js";
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

  #show({ sentences = [], figures = [], problem = "" }) {
    const lines = problem ? [problem] : sentences;
    const text = lines.join("\n");
    if (text !== this.text) byId("verdict").replaceChildren(...lines.map((line) => make("p", {}, line)));
    this.text = text;
    byId("verdict").hidden = !lines.length;
    this.figures = figures;
    this.#drawFigures();
  }

  #drawFigures() {
    const figure = this.figures.find(({ name }) => name === "importance");
    byId("importance").hidden = !figure;
    byId("importance-words").textContent = figure?.words ?? "Told when at least eight runs have ended.";
    if (!figure) return;
    const { title, ...layout } = figure.layout;
    draw(byId("importance"), figure.data, { ...layout, margin: { l: 52, r: 12, t: 10, b: 42 } }, figure.words);
  }
}
