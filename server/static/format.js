// Numbers, times and settings as people read them.

/** A setting or metric as its author would write it: 0.0003, not 0.00030000000000000003. */
export function showValue(value) {
  if (value === null || value === undefined || value === "") return "–";
  if (typeof value === "number") return showNumber(value);
  if (typeof value === "boolean") return value ? "true" : "false";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

export function showNumber(value) {
  if (!Number.isFinite(value)) return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value);
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e");
  return String(Number(value.toPrecision(4)));
}

/** Seconds as 42 s, 3 min 20 s, 2 h 5 min, 3 d 4 h. */
export function showDuration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.round((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.round((s % 86400) / 3600)} h`;
}

/** A time (seconds since the epoch) as 2026-01-31 12:00, in the reader's zone. */
export function showTime(seconds) {
  if (!seconds) return "–";
  const date = new Date(seconds * 1000 - new Date().getTimezoneOffset() * 60_000);
  return date.toISOString().slice(0, 16).replace("T", " ");
}

/** How long ago something was heard. */
export const showAgo = (seconds) => (seconds < 2 ? "now" : `${showDuration(seconds)} ago`);

/** "1 run", "2 runs", "1,000 runs". */
export const count = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
