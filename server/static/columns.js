// The menus that choose columns of the table and axes of the parallel coordinates.
import { make } from "./dom.js";

/** Fills a menu with every column by group; `pin` adds a second box that keeps a column in place. */
export function fillColumnMenu(menu, runs, { chosen, setChosen, pinned, setPinned }) {
  const pop = menu.querySelector(".pop");
  function draw() {
    if (!menu.open || !runs.columns) return;
    const now = new Set(chosen());
    const parts = [];
    let group = "";
    for (const column of runs.columns.values()) {
      if (column.group !== group) {
        group = column.group;
        parts.push(make("h3", {}, group));
      }
      const box = make("input", {
        type: "checkbox",
        checked: now.has(column.key),
        onchange: (event) => {
          if (event.target.checked) now.add(column.key);
          else now.delete(column.key);
          setChosen([...runs.columns.keys()].filter((key) => now.has(key)));
        },
      });
      parts.push(make("div", { class: "row" }, make("label", { class: "check" }, box, column.label), setPinned ? makePin(column, pinned, setPinned) : null));
    }
    pop.replaceChildren(...parts);
  }
  menu.addEventListener("toggle", draw);
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  document.addEventListener("click", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
}

function makePin(column, pinned, setPinned) {
  const box = make("input", {
    type: "checkbox",
    checked: pinned().includes(column.key),
    "aria-label": `Keep ${column.label} in place`,
    onchange: (event) => {
      const others = pinned().filter((key) => key !== column.key);
      setPinned(event.target.checked ? [...others, column.key] : others);
    },
  });
  return make("label", { class: "check" }, box, "pin");
}
