// Tabs as the keyboard and screen readers know them; the open one stands in the path.
export function bindTabs(list, opened) {
  const tabs = [...list.querySelectorAll('[role="tab"]')];
  const base = location.pathname.split("/").slice(0, 5).join("/");
  function open(tab, isSaid = true) {
    for (const other of tabs) {
      const isOpen = other === tab;
      other.setAttribute("aria-selected", String(isOpen));
      other.tabIndex = isOpen ? 0 : -1;
      document.getElementById(other.getAttribute("aria-controls")).hidden = !isOpen;
    }
    if (isSaid) history.replaceState(null, "", `${base}/${tab.dataset.tab}${location.search}`);
    opened(tab.dataset.tab);
  }
  for (const [i, tab] of tabs.entries()) {
    tab.addEventListener("click", () => open(tab));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = tabs[(i + step + tabs.length) % tabs.length];
      next.focus();
      open(next);
    });
  }
  open(tabs.find((tab) => tab.getAttribute("aria-selected") === "true"), false);
}
