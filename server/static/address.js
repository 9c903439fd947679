// What a view shows, kept in its URL, so that it can be shared and loaded again.
import { debounce } from "./dom.js";

export class Address {
  constructor(defaults) {
    this.defaults = defaults;
    this.values = { ...defaults };
    for (const [name, text] of new URLSearchParams(location.search)) {
      if (name in defaults) this.values[name] = text;
    }
    this.write = debounce(() => this.#write(), 120);
  }

  get(name) {
    return this.values[name];
  }

  /** A list is kept as "a,b"; a comma inside a name as %2C. */
  getList(name) {
    return this.values[name] ? this.values[name].split(",").map(decodeURIComponent) : [];
  }

  set(name, value) {
    const list = (items) => items.map((item) => encodeURIComponent(item)).join(",");
    this.values[name] = Array.isArray(value) ? list(value) : String(value);
    this.write();
  }

  #write() {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(this.values)) {
      if (value !== this.defaults[name]) query.set(name, value);
    }
    const text = query.toString();
    history.replaceState(null, "", `${location.pathname}${text ? `?${text}` : ""}${location.hash}`);
  }
}

/** Ties a control to its name in the address; calls back when the reader changes it. */
export function bind(address, name, control, changed) {
  const isCheck = control.type === "checkbox";
  if (isCheck) control.checked = address.get(name) === "1";
  else control.value = address.get(name);
  control.addEventListener(control.type === "range" || control.type === "search" ? "input" : "change", () => {
    address.set(name, isCheck ? (control.checked ? "1" : "") : control.value);
    changed();
  });
}
