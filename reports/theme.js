// What the pages of a profile and of a history share: light or dark, and print.
"use strict";
{
  const root = document.documentElement;
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  const apply = () => {
    root.dataset.theme = chosen ?? (prefersDark.matches ? "dark" : "light");
  };
  apply();
  prefersDark.addEventListener("change", apply);
  document.getElementById("theme").addEventListener("click", () => {
    chosen = root.dataset.theme === "dark" ? "light" : "dark";
    apply();
  });
  addEventListener("beforeprint", () => (root.dataset.theme = "light"));
  addEventListener("afterprint", apply);
  document.getElementById("print").addEventListener("click", () => print());
  document.getElementById("controls").addEventListener("submit", (event) => event.preventDefault());
}
