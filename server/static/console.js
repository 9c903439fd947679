// A run's console: new lines as they come, older ones when asked for; text, whatever is in it.
import { byId, make } from "./dom.js";
import { getJson } from "./net.js";

const MAX_LINES = 20_000;

export class Console {
  constructor(path) {
    this.path = path;
    this.place = byId("console");
    this.next = Number(this.place.dataset.next);
    this.first = Number(this.place.dataset.first);
    byId("older").addEventListener("click", () => this.showOlder());
    this.scroll();
  }

  add(lines) {
    if (!lines.length) return;
    this.place.append(...lines.map(makeLine));
    this.next = lines.at(-1).number + 1;
    while (this.place.childElementCount > MAX_LINES) this.place.firstElementChild.remove();
    this.scroll();
  }

  scroll() {
    if (byId("follow").checked) this.place.scrollTop = this.place.scrollHeight;
  }

  async showOlder() {
    const answer = await getJson(`${this.path}/console.json?before=${this.first}`);
    const height = this.place.scrollHeight;
    this.place.prepend(...answer.output.map(makeLine));
    this.place.scrollTop += this.place.scrollHeight - height;
    this.first = answer.first;
    byId("older").hidden = this.first === 0;
  }
}

const makeLine = ({ line, level }) => make("span", { class: level ? "err" : null }, `${line}\n`);
