// Sets the colour scheme before anything is drawn, and lets the button change it:
// as the system says, light, dark. No module, so that it runs before the first paint.
(() => {
  const SCHEMES = ["system", "light", "dark"];
  const SIGNS = { system: "◐", light: "☀", dark: "☾" };
  const WORDS = { system: "as the system says", light: "light", dark: "dark" };
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");

  function read() {
    const kept = localStorage.getItem("scheme");
    return SCHEMES.includes(kept) ? kept : "system";
  }

  function apply() {
    const chosen = read();
    const shown = chosen === "system" ? (dark.matches ? "dark" : "light") : chosen;
    root.dataset.scheme = shown;
    const button = document.getElementById("theme");
    if (button) {
      button.firstElementChild.textContent = SIGNS[chosen];
      button.setAttribute("aria-label", `Colour scheme: ${WORDS[chosen]}`);
      button.title = button.getAttribute("aria-label");
    }
    dispatchEvent(new CustomEvent("scheme", { detail: shown }));
  }

  apply();
  dark.addEventListener("change", apply);
  addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme")?.addEventListener("click", () => {
      localStorage.setItem("scheme", SCHEMES[(SCHEMES.indexOf(read()) + 1) % SCHEMES.length]);
      apply();
    });
  });
})();
