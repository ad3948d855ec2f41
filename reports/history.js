// The page of a history: which series are shown, and what a point is. The pictures are there without it.
"use strict";
{
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const root = document.documentElement;

  const runs = JSON.parse($("#runs").textContent);
  const panels = $$("article");

  // What is chosen stands in the address, so that it can be sent.
  const selects = $$("select[data-choice]");
  const kept = new URLSearchParams(location.hash.startsWith("#show?") ? location.hash.slice(6) : "");
  for (const select of selects) {
    const wanted = kept.get(select.dataset.choice);
    if ([...select.options].some((option) => option.value === wanted)) select.value = wanted;
  }
  function show(keep) {
    let count = 0;
    for (const panel of panels) {
      const matches = selects.every((one) => !one.value || panel.dataset[one.dataset.choice] === one.value);
      panel.hidden = !matches;
      count += matches;
    }
    $("#shown").textContent = count === panels.length ? "" : `${count} of ${panels.length} series`;
    if (!keep) return;
    const state = new URLSearchParams(selects.filter((one) => one.value).map((one) => [one.dataset.choice, one.value]));
    history.replaceState(null, "", state.size ? `#show?${state}` : location.pathname + location.search);
  }
  selects.forEach((one) => one.addEventListener("change", () => show(true)));
  show(false);

  for (const panel of panels) {
    const svg = $("svg", panel);
    const detail = $(".detail", panel);
    const idle = detail.textContent;
    let points = null;
    let at = -1;

    function tell(place) {
      points ??= JSON.parse($("script", panel).textContent);
      at = Math.min(Math.max(place, 0), points.length - 1);
      const [run, x, y, text] = points[at];
      const [commit, message, time, link] = runs[run];
      $(".here", panel).setAttribute("d", `M${x} ${y}h0`);
      const told = document.createElement(link ? "a" : "span");
      if (link) told.href = link;
      told.textContent = [commit, message].filter(Boolean).join(" ");
      detail.replaceChildren(`${text}, `, told, `, ${time}`);
    }
    function leave() {
      at = -1;
      $(".here", panel).setAttribute("d", "");
      detail.textContent = idle;
    }
    svg.addEventListener("pointermove", (event) => {
      points ??= JSON.parse($("script", panel).textContent);
      const box = svg.getBoundingClientRect();
      const share = (event.clientX - box.left) / box.width;
      tell(Math.round(share * (points.length - 1)));
    });
    svg.addEventListener("keydown", (event) => {
      if (event.key === "Escape") return leave();
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      points ??= JSON.parse($("script", panel).textContent);
      tell(at < 0 ? (step < 0 ? points.length - 1 : 0) : at + step);
    });
  }
  root.dataset.ready = "";
}
