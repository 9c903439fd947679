// Figures by plotly, in the page's colours; its script is loaded when the first figure is.
import { scheme } from "./palette.js";

const SCRIPT = new URL("./vendor/plotly-cartesian.min.js", import.meta.url).href;
let loading = null;

/** Loads plotly; asked for before there is anything to draw, it is read while data is fetched. */
export function loadPlotly() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = SCRIPT;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => reject(new Error("plotly cannot be loaded from this server"));
    document.head.append(script);
  });
  return loading;
}

const escapes = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };
/** Makes a text safe for plotly, which reads a few tags in texts; long ones are cut. */
export function escapeText(value, longest = 60) {
  const text = String(value);
  const cut = text.length > longest ? `${text.slice(0, longest - 1)}…` : text;
  return cut.replace(/[&<>]/g, (sign) => escapes[sign]);
}

function buildTemplate(automargin) {
  const { ground, ink, soft, line } = scheme();
  const axis = { gridcolor: line, linecolor: soft, zerolinecolor: line, tickcolor: soft, automargin, title: { standoff: 8 } };
  return {
    layout: {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", size: 12, color: ink },
      xaxis: axis,
      yaxis: axis,
      hoverlabel: { bgcolor: ground, bordercolor: soft, font: { color: ink } },
      annotationdefaults: { font: { color: ink, size: 12 } },
      shapedefaults: { line: { color: ink, width: 1.5 } },
    },
  };
}

/**
 * Draws a figure into an element, or draws it anew; `words` is what a screen reader says. With
 * `automargin` long tick texts make room for themselves, which costs a third more time.
 */
export async function draw(element, data, layout, words, { automargin = false } = {}) {
  const plotly = await loadPlotly();
  const full = {
    margin: { l: 60, r: 12, t: 10, b: 44 },
    height: 320,
    showlegend: false,
    hovermode: "closest",
    template: buildTemplate(automargin),
    ...layout,
  };
  if (words) element.setAttribute("aria-label", words);
  const options = { displayModeBar: false, responsive: true, doubleClickDelay: 400, locale: "en" };
  await plotly.react(element, data, full, options);
}

/** Saves a figure as a picture. */
export async function savePicture(element, name) {
  const plotly = await loadPlotly();
  await plotly.downloadImage(element, { format: "png", scale: 2, filename: name });
}

/** Calls back when the colour scheme changes. */
export const onScheme = (work) => addEventListener("scheme", work);
