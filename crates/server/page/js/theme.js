// The theme before the first paint: this script is no module, so that the page does not flash.
(() => {
  const names = ["system", "light", "dark"];
  const root = document.documentElement;

  const stored = () => {
    try {
      const name = localStorage.getItem("ptsm-theme");
      return names.includes(name) ? name : "system";
    } catch {
      return "system"; // Storage can be forbidden.
    }
  };

  const set = (name) => {
    root.dataset.theme = name;
    try {
      localStorage.setItem("ptsm-theme", name);
    } catch {
      // Then it holds for this page alone.
    }
  };

  root.dataset.theme = stored();
  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const say = () => { button.lastChild.textContent = root.dataset.theme; };
    const changed = () => dispatchEvent(new Event("themechange"));
    button.addEventListener("click", () => {
      set(names[(names.indexOf(root.dataset.theme) + 1) % names.length]);
      say();
      changed();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
    say();
  });
})();
