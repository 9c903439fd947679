// Colours: safe for the colour-blind, readable on light and dark ground; the report's own.

// Okabe and Ito (2008); with more than six things compared, dashes tell them apart too.
export const COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"];
export const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
export const GREY = "#8a919a";
// viridis without its ends, which drown in black and in white; low to high.
const RAMP = ["#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d"].map(readColor);

const SCHEMES = {
  light: { ground: "#ffffff", ink: "#171b20", soft: "#566170", line: "#e2e5e9", accent: "#0b5f8a" },
  dark: { ground: "#171c22", ink: "#e6eaee", soft: "#9fabb8", line: "#2f3842", accent: "#6cb8e6" },
};
// On a dark ground the ramp's dark end is lifted.
const DARK_RAMP = ["#8d7ad1", "#5e8fd0", "#3fb0bf", "#4fcb9c", "#a5dd6a"].map(readColor);

export const scheme = () => SCHEMES[document.documentElement.dataset.scheme ?? "light"];
const isDark = () => document.documentElement.dataset.scheme === "dark";

function readColor(text) {
  return [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));
}

/** The colour of a share in [0, 1]. */
export function ramp(share) {
  const stops = isDark() ? DARK_RAMP : RAMP;
  const place = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const i = Math.min(Math.floor(place), stops.length - 2);
  const mixed = stops[i].map((value, k) => Math.round(value + (stops[i + 1][k] - value) * (place - i)));
  return `rgb(${mixed.join(",")})`;
}

/** A colour, "#rrggbb" or "rgb(r,g,b)", that lets others through. */
export function fade(color, strength) {
  const parts = color.startsWith("#") ? readColor(color) : color.match(/\d+/g);
  return `rgba(${parts.join(",")},${strength})`;
}

/** How many colours a figure with shades uses: lines of one shade are drawn as one path. */
export const N_SHADES = 10;

/**
 * Gives each run its colour by a column: one of six for few different values, a shade for numbers.
 * Returns { of(row) -> colour, key(row) -> group, legend: [[label, colour]], low, high }.
 */
export function colorRuns(rows, read, isNumber) {
  const values = rows.map(read);
  const distinct = [...new Set(values.filter((value) => value !== null && value !== undefined))];
  if (distinct.length <= COLORS.length && !(isNumber && distinct.length > 4)) {
    distinct.sort((a, b) => (a < b ? -1 : 1));
    const index = new Map(distinct.map((value, i) => [value, i]));
    const of = (row) => (index.has(read(row)) ? COLORS[index.get(read(row))] : GREY);
    return { of, key: (row) => index.get(read(row)) ?? -1, legend: distinct.map((v, i) => [v, COLORS[i]]) };
  }
  if (!isNumber) {
    const index = new Map(distinct.map((value, i) => [value, i % COLORS.length]));
    const of = (row) => COLORS[index.get(read(row))] ?? GREY;
    return { of, key: (row) => index.get(read(row)) ?? -1, legend: [] };
  }
  const numbers = distinct.filter(Number.isFinite).sort((a, b) => a - b);
  // The middle nine tenths take the whole ramp: one diverged run would leave the rest one colour.
  const low = numbers[Math.floor(numbers.length * 0.05)] ?? 0;
  const high = numbers[Math.ceil(numbers.length * 0.95) - 1] ?? 1;
  const share = (row) => {
    const value = read(row);
    return Number.isFinite(value) ? Math.min(Math.max((value - low) / (high - low || 1), 0), 1) : null;
  };
  const key = (row) => (share(row) === null ? -1 : Math.min(Math.floor(share(row) * N_SHADES), N_SHADES - 1));
  const of = (row) => (share(row) === null ? GREY : ramp((key(row) + 0.5) / N_SHADES));
  return { of, key, legend: [], low, high };
}
