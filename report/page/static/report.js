// Draws the page's figures in the reader's colours, again for paper, and orders its tables.
(() => {
  "use strict";
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const figures = read("figures");
  const templates = read("templates");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const PAPER_PX = 660; // what is left of 210 mm between margins, at 96 to the inch
  const PAPER_SCALE = 0.8; // paper is short, but what is tall has lines to tell apart
  const TALL_PX = 500;
  const SLIM_PX = 480;
  const CONFIG = {
    responsive: true,
    displaylogo: false,
    modeBarButtons: [["toImage", "zoom2d", "resetScale2d"]],
    scrollZoom: false,
  };
  let printing = false;

  function styleLayout(layout, name, width) {
    const scheme = !printing && dark.matches ? "dark" : "light";
    const styled = { ...layout, template: templates[scheme], dragmode: false };
    styled.title = { ...layout.title, font: { size: width < SLIM_PX && !printing ? 13 : 15 } };
    const scale = layout.height < TALL_PX ? PAPER_SCALE : 1;
    if (printing) return { ...styled, width: PAPER_PX, height: scale * layout.height, autosize: false };
    return { ...styled, autosize: true };
  }

  function drawFigure(place) {
    const figure = figures[place.dataset.figure];
    const layout = styleLayout(figure.layout, place.dataset.figure, place.clientWidth);
    const config = { ...CONFIG, toImageButtonOptions: { format: "svg", filename: place.dataset.figure } };
    // a copy: plotly writes into what it is given
    Plotly.react(place, structuredClone(figure.data), structuredClone(layout), config);
    // the caption says it in words; ticks and dots read out one by one say nothing
    for (const drawing of place.querySelectorAll("svg.main-svg")) drawing.setAttribute("aria-hidden", "true");
  }

  const places = [...document.querySelectorAll("[data-figure]")];
  const drawAll = () => places.forEach(drawFigure);

  function printAll(now) {
    if (printing === now) return;
    printing = now;
    drawAll();
  }

  drawAll();
  dark.addEventListener("change", drawAll);
  addEventListener("beforeprint", () => printAll(true));
  addEventListener("afterprint", () => printAll(false));

  // -- tables --------------------------------------------------------------

  function compareKeys(a, b) {
    return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
  }

  function readKey(row, column) {
    const cell = row.cells[column];
    if (!("key" in cell.dataset)) return null;
    const key = Number(cell.dataset.key);
    return Number.isNaN(key) ? cell.dataset.key : key;
  }

  function sortRows(table, column, sign) {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => ({ row, key: readKey(row, column) }));
    rows.sort((a, b) => {
      if (a.key === null || b.key === null) return (a.key === null) - (b.key === null); // unknown last
      return sign * compareKeys(a.key, b.key);
    });
    body.append(...rows.map(({ row }) => row));
  }

  function orderBy(table, header) {
    const falling = header.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", falling ? "descending" : "ascending");
    sortRows(table, header.cellIndex, falling ? -1 : 1);
    const said = document.getElementById("said");
    said.textContent = `Ordered by ${header.textContent.trim()}, ${falling ? "falling" : "rising"}.`;
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    for (const header of table.tHead.rows[0].cells) {
      header.querySelector("button").addEventListener("click", () => orderBy(table, header));
    }
  }
  document.documentElement.dataset.ready = "";
})();
