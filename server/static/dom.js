// Elements made from texts alone: nothing that a run has logged is ever read as HTML.

export const byId = (id) => document.getElementById(id);

/** Makes an element: make("a", { href, class: "x", onclick }, "text", child, ...). */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "checked" || name === "value" || name === "disabled" || name === "hidden") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Makes an SVG element. */
export function makeSvg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Fills a <select> with [value, label] pairs or { group, options }, and keeps what was chosen. */
export function fillSelect(select, options, chosen) {
  const signature = JSON.stringify(options);
  if (select.dataset.options !== signature) {
    const one = ([value, label]) => make("option", { value }, label);
    select.replaceChildren(
      ...options.map((entry) =>
        Array.isArray(entry) ? one(entry) : make("optgroup", { label: entry.group }, entry.options.map(one)),
      ),
    );
    select.dataset.options = signature;
  }
  select.value = chosen;
}

/** Calls a function once the calls stop coming for a moment. */
export function debounce(work, wait_ms) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...values), wait_ms);
  };
}

/** Calls a function at most once a frame. */
export function oncePerFrame(work) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      work();
    });
  };
}

// One slow drawing a frame, whoever asks: what the reader does meanwhile goes first.
const queue = [];
let isQueueRunning = false;

/** Calls a slow function once its turn comes; asked again before that, it is called once. */
export function paced(work) {
  return () => {
    if (!queue.includes(work)) queue.push(work);
    if (!isQueueRunning) requestAnimationFrame(runQueue);
    isQueueRunning = true;
  };
}

async function runQueue() {
  const work = queue.shift();
  try {
    await work();
  } finally {
    isQueueRunning = queue.length > 0;
    if (isQueueRunning) requestAnimationFrame(() => setTimeout(runQueue));
  }
}
