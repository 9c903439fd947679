// Parallel coordinates: one line a run through one axis a setting, brushed with the mouse, a finger
// or the keyboard. Our own, on a canvas: plotly's needs WebGL, and its brushes know neither the
// keyboard nor a screen reader; this one draws a thousand runs in a few milliseconds.
import { byId, make, makeSvg, oncePerFrame } from "./dom.js";
import { showNumber } from "./format.js";
import { scheme } from "./palette.js";

const TOP = 44;
const BOTTOM = 26;
const SIDE = 70;
const MIN_GAP = 104;
const MAX_AXES = 12;
const MAX_FAN = 26; // px that the runs of one value are spread over, the better ones on top
const EDGE = 0.03; // of an axis: so near an end of a brush, a drag moves that end
const STEP = 0.02; // of an axis, for one press of an arrow key

export class Parallel {
  constructor(runs) {
    this.runs = runs;
    this.place = byId("parallel");
    this.canvas = make("canvas", { "aria-hidden": "true" });
    this.svg = makeSvg("svg", { role: "group" });
    this.inner = make("div", { class: "parallel-inner" }, this.canvas, this.svg);
    this.place.append(this.inner);
    this.draw = oncePerFrame(() => this.#draw());
    this.drawLines = oncePerFrame(() => this.#drawLines());
    for (const name of ["rows", "columns"]) runs.addEventListener(name, this.draw);
    runs.addEventListener("shown", () => (this.dragging ? this.drawLines() : this.draw()));
    for (const name of ["look", "chosen"]) runs.addEventListener(name, this.drawLines);
    new ResizeObserver(this.draw).observe(this.place);
  }

  /** The axes shown: chosen in the address, else what was swept and the metric. */
  listAxes() {
    const { address, columns, metricColumn } = this.runs;
    const asked = address.getList("axes").map((key) => columns.get(key)).filter(Boolean);
    if (asked.length) return asked.slice(0, MAX_AXES);
    const swept = [...columns.values()].filter((column) => column.group === "Swept");
    return [...swept.slice(0, MAX_AXES - 1), ...(metricColumn ? [metricColumn] : [])];
  }

  #draw() {
    if (!this.runs.columns) return;
    if (this.dragging) {
      this.#drawLines(); // new axes would take the pointer from the one that is dragged
      return;
    }
    const columns = this.listAxes();
    const width = Math.max(this.place.clientWidth, columns.length * MIN_GAP + SIDE);
    const height = this.place.clientHeight;
    this.inner.style.width = `${width}px`;
    this.size = { width, height };
    const gap = columns.length > 1 ? (width - 2 * SIDE) / (columns.length - 1) : 0;
    const fan = rankRuns(this.runs);
    this.axes = columns.map((column, i) => buildAxis(this.runs, column, fan, columns.length > 1 ? SIDE + i * gap : width / 2, height));
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("height", height);
    const focused = this.svg.contains(document.activeElement) ? document.activeElement.dataset.thumb : null;
    this.svg.replaceChildren(...this.axes.map((axis, i) => this.#makeAxis(axis, i)));
    if (focused) this.svg.querySelector(`[data-thumb="${CSS.escape(focused)}"]`)?.focus();
    this.#drawLines();
  }

  #drawLines() {
    if (!this.axes) return;
    const { width, height } = this.size;
    const density = devicePixelRatio || 1;
    const { canvas, runs } = this;
    if (canvas.width !== Math.round(width * density) || canvas.height !== Math.round(height * density)) {
      canvas.width = Math.round(width * density);
      canvas.height = Math.round(height * density);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    const context = canvas.getContext("2d");
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, width, height);
    context.lineJoin = "round";
    const shown = new Set(runs.shown);
    const n = Math.max(shown.size, 1);
    const strength = Math.min(0.85, Math.max(0.2, 5 / Math.sqrt(n)));
    if (shown.size < runs.filtered.length) {
      this.#stroke(context, runs.filtered.filter((row) => !shown.has(row)), () => scheme().soft, 1, 0.07);
    }
    this.#stroke(context, [...runs.shown].reverse(), runs.colors.of, n > 200 ? 1.1 : 1.6, strength);
    const marked = runs.filtered.filter((row) => row.id === runs.looked || runs.selected.has(row.id));
    this.#stroke(context, marked, runs.colors.of, 3, 1);
  }

  /** Draws one path for all lines of a colour. */
  #stroke(context, rows, color, width, alpha) {
    const paths = new Map();
    for (const row of rows) {
      const key = color(row);
      if (!paths.has(key)) paths.set(key, new Path2D());
      const path = paths.get(key);
      let pen = false;
      for (const axis of this.axes) {
        const y = axis.place(row);
        if (y === null) {
          pen = false;
          continue;
        }
        if (pen) path.lineTo(axis.x, y);
        else path.moveTo(axis.x, y);
        pen = true;
      }
    }
    context.lineWidth = width;
    context.globalAlpha = alpha;
    for (const [key, path] of paths) {
      context.strokeStyle = key;
      context.stroke(path);
    }
    context.globalAlpha = 1;
  }

  #makeAxis(axis, index) {
    const isLast = index === this.axes.length - 1 && index > 0;
    const group = makeSvg("g", { transform: `translate(${axis.x} 0)` });
    const name = this.runs.nameColumn(axis.column);
    const label = makeSvg("text", { class: "axis-name halo", y: 14, "text-anchor": index === 0 && this.axes.length > 1 ? "start" : isLast ? "end" : "middle", x: index === 0 && this.axes.length > 1 ? -SIDE + 4 : isLast ? SIDE - 4 : 0 });
    const longest = Math.max(8, Math.floor((this.axes[1] ? this.axes[1].x - this.axes[0].x : 400) / 8.5));
    label.textContent = name.length > longest ? `${name.slice(0, longest - 1)}…` : name;
    label.append(makeSvg("title", {}, `${name}${axis.isLog ? ", log scale" : ""}`));
    group.append(makeSvg("line", { class: "axis-line", y1: TOP, y2: axis.bottom }), label);
    for (const { y, text } of axis.ticks) {
      const label = makeSvg("text", { class: "halo", x: isLast ? 8 : -8, y: y + 4, "text-anchor": isLast ? "start" : "end" });
      label.textContent = text.length > 10 ? `${text.slice(0, 9)}…` : text;
      group.append(makeSvg("line", { class: "tick", x1: -3, x2: 3, y1: y, y2: y }), label);
    }
    const box = makeSvg("rect", { class: "brush", x: -7, width: 14, y: TOP, height: 0 });
    const area = makeSvg("rect", { class: "catch", x: -16, width: 32, y: TOP - 8, height: axis.bottom - TOP + 16 });
    const thumbs = ["low", "high"].map((end) => this.#makeThumb(axis, end, name));
    axis.parts = { box, thumbs };
    this.#listen(area, axis);
    group.append(box, area, ...thumbs);
    this.#showBrush(axis);
    return group;
  }

  #makeThumb(axis, end, name) {
    const thumb = makeSvg("rect", { class: "thumb", x: -9, width: 18, height: 5, rx: 2, role: "slider", tabindex: 0, "aria-orientation": "vertical", "aria-label": `${name}, ${end === "low" ? "lowest" : "highest"} value kept`, "data-thumb": `${axis.column.key} ${end}` });
    thumb.addEventListener("keydown", (event) => {
      const steps = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10 }[event.key];
      if (event.key === "Escape" || event.key === "Delete") this.runs.setBrush(axis.column.key, null);
      else if (steps || event.key === "Home" || event.key === "End") this.#move(axis, end, steps, event.key);
      else return;
      event.preventDefault();
    });
    return thumb;
  }

  #move(axis, end, steps, key) {
    const [low, high] = axis.shares(this.runs.brushes.get(axis.column.key));
    const step = axis.step ?? STEP;
    const now = end === "low" ? low : high;
    const to = steps ? now + steps * step : key === "Home" ? 0 : 1;
    const next = end === "low" ? [Math.min(Math.max(to, 0), high), high] : [low, Math.max(Math.min(to, 1), low)];
    this.runs.setBrush(axis.column.key, next[0] <= 0 && next[1] >= 1 ? null : axis.range(next));
  }

  #listen(area, axis) {
    const share = (event) => {
      const y = event.clientY - this.svg.getBoundingClientRect().top;
      return Math.min(Math.max((axis.bottom - y) / (axis.bottom - TOP), 0), 1);
    };
    let start = null;
    let grip = null; // what a drag does: draws a new brush, moves an end, or moves the whole
    area.addEventListener("pointerdown", (event) => {
      start = share(event);
      grip = findGrip(axis.shares(this.runs.brushes.get(axis.column.key)), start, this.runs.brushes.has(axis.column.key));
      this.dragging = true;
      area.setPointerCapture(event.pointerId);
    });
    area.addEventListener("pointermove", (event) => {
      if (start === null) return;
      const now = share(event);
      if (Math.abs(now - start) < 0.01) return;
      this.runs.setBrush(axis.column.key, axis.range(grip(now)));
      this.#showBrush(axis);
    });
    const end = (event) => {
      if (start === null) return;
      const isClick = Math.abs(share(event) - start) < 0.01;
      start = null;
      this.dragging = false;
      if (isClick) this.runs.setBrush(axis.column.key, null); // a click beside a brush clears it
      else this.draw();
    };
    area.addEventListener("pointerup", end);
    area.addEventListener("pointercancel", end);
  }

  #showBrush(axis) {
    const range = this.runs.brushes.get(axis.column.key);
    const [low, high] = axis.shares(range);
    const y = (share) => axis.bottom - share * (axis.bottom - TOP);
    const { box, thumbs } = axis.parts;
    box.setAttribute("y", y(high));
    box.setAttribute("height", range ? Math.max(y(low) - y(high), 1) : 0);
    thumbs.forEach((thumb, i) => {
      const share = i === 0 ? low : high;
      thumb.setAttribute("y", y(share) - 2.5);
      thumb.classList.toggle("set", Boolean(range));
      thumb.setAttribute("aria-valuemin", 0);
      thumb.setAttribute("aria-valuemax", 100);
      thumb.setAttribute("aria-valuenow", Math.round(share * 100));
      thumb.setAttribute("aria-valuetext", axis.say(share, i));
    });
  }
}

/** Ranks runs by their metric from -0.5 to 0.5: many that share a setting's value fan out by it. */
function rankRuns(runs) {
  const column = runs.metricColumn;
  if (!column) return () => 0;
  const sign = runs.largest ? 1 : -1;
  const scored = [...runs.rows.values()].filter((row) => Number.isFinite(column.read(row)));
  scored.sort((a, b) => sign * (column.read(a) - column.read(b)));
  const ranks = new Map(scored.map((row, i) => [row.id, (i + 0.5) / scored.length - 0.5]));
  return (row) => ranks.get(row.id) ?? -0.5;
}

/** Returns what the brush becomes as the pointer moves, by where on a brush it was put down. */
function findGrip([low, high], start, isSet) {
  const between = (a, b) => [Math.min(a, b), Math.max(a, b)];
  if (!isSet || start < low - EDGE || start > high + EDGE) return (now) => between(start, now);
  if (Math.abs(start - high) <= EDGE) return (now) => between(low, now);
  if (Math.abs(start - low) <= EDGE) return (now) => between(now, high);
  return (now) => {
    const by = Math.min(Math.max(now - start, -low), 1 - high);
    return [low + by, high + by];
  };
}

/** Returns an axis: where each run passes, its ticks, and shares of its length for values and back. */
function buildAxis(runs, column, fan, x, height) {
  const bottom = height - BOTTOM;
  const toY = (share) => bottom - share * (bottom - TOP);
  const base = { column, x, bottom, fan };
  return column.isNumber ? buildNumberAxis(base, runs, toY) : buildTextAxis(base, runs, toY);
}

/** How many pixels the runs of one value may spread over without reaching the next value's. */
function sizeFan(ys) {
  const gaps = ys.slice(1).map((y, i) => Math.abs(y - ys[i]));
  return Math.min(MAX_FAN, 0.6 * Math.min(...gaps, Infinity));
}

function buildNumberAxis(base, runs, toY) {
  const { column } = base;
  let low = Infinity;
  let high = -Infinity;
  const distinct = new Set();
  for (const row of runs.rows.values()) {
    const value = column.read(row);
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
    if (distinct.size < 12) distinct.add(value);
  }
  if (low > high) [low, high] = [0, 1];
  const isLog = low > 0 && high / low >= 20;
  const warp = isLog ? Math.log : (value) => value;
  const unwarp = isLog ? Math.exp : (value) => value;
  const [a, b] = [warp(low), warp(high)];
  const span = b - a || 1;
  const share = (value) => (b === a ? 0.5 : (warp(value) - a) / span);
  const few = distinct.size < 12;
  const values = few ? [...distinct].sort((p, q) => p - q) : pickTicks(low, high, isLog);
  const ticks = values.map((value) => ({ y: toY(share(value)), text: showNumber(value) }));
  const width = few ? sizeFan(ticks.map(({ y }) => y)) : 0;
  return {
    ...base,
    isLog,
    ticks: few ? spread(ticks) : ticks,
    place: (row) => {
      const value = column.read(row);
      return Number.isFinite(value) ? toY(share(value)) - base.fan(row) * width : null;
    },
    shares: (range) => (range ? [share(Math.max(range[0], low)), share(Math.min(range[1], high))] : [0, 1]),
    range: ([p, q]) => [p <= 0 ? low : unwarp(a + p * span), q >= 1 ? high : unwarp(a + q * span)],
    say: (at) => showNumber(unwarp(a + at * span)),
  };
}

function buildTextAxis(base, runs, toY) {
  const { column } = base;
  const places = runs.listCategories(column);
  const texts = [...places.keys()];
  const n = texts.length;
  const share = (place) => (n > 1 ? (place + 0.5) / n : 0.5);
  const width = sizeFan(texts.map((_, i) => toY(share(i))));
  return {
    ...base,
    step: 1 / n,
    ticks: n <= 14 ? texts.map((text, i) => ({ y: toY(share(i)), text })) : [],
    place: (row) => toY(share(places.get(String(column.read(row) ?? "–")) ?? 0)) - base.fan(row) * width,
    shares: (range) => (range ? [(range[0] + 0.5) / n, (range[1] + 0.5) / n] : [0, 1]),
    range: ([p, q]) => [p * n - 0.5, q * n - 0.5],
    say: (at, isHigh) => texts[isHigh ? Math.floor(at * n - 0.5) : Math.ceil(at * n - 0.5)] ?? "none",
  };
}

function pickTicks(low, high, isLog) {
  if (isLog) {
    const ticks = [];
    for (let power = Math.ceil(Math.log10(low)); power <= Math.floor(Math.log10(high)); power += 1) ticks.push(10 ** power);
    if (ticks.length >= 2) return ticks;
  }
  const rough = (high - low) / 5 || 1;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * unit).find((size) => size >= rough);
  const ticks = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step / 1e6; value += step) ticks.push(Number(value.toPrecision(12)));
  return ticks;
}

/** Leaves out tick texts that would lie on each other. */
function spread(ticks) {
  let last = Infinity;
  return ticks.filter(({ y }) => {
    if (last - y < 13) return false;
    last = y;
    return true;
  });
}
