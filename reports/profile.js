// The page of a profile: zoom, keys and search. The graphs are there without it.
"use strict";
{
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const root = document.documentElement;

  const isShown = (item) => item.offsetWidth > 0;
  const itemsOf = (list) => [...(list?.children ?? [])].filter(isShown);
  const parentOf = (item) => item.parentElement.closest("li");
  const childrenOf = (item) => itemsOf($(":scope > ul", item));

  function ready(flame) {
    const detail = flame.parentElement.querySelector(".detail");
    const items = $$("li", flame);
    items.forEach((item) => (item.tabIndex = -1));
    if (items.length) items[0].tabIndex = 0;

    const tell = (item) => (detail.textContent = item ? item.getAttribute("aria-label") : detail.dataset.idle);

    // One frame as wide as the graph, with what is above it; nothing where there is none.
    function zoom(item) {
      items.forEach((one) => {
        one.classList.remove("path");
        one.hidden = false;
        one.firstElementChild.classList.remove("above");
      });
      for (let one = item; one; one = parentOf(one)) {
        one.classList.add("path");
        if (one !== item) one.firstElementChild.classList.add("above");
        [...one.parentElement.children].forEach((other) => (other.hidden = other !== one));
      }
    }

    function go(item) {
      if (!item) return;
      items.forEach((one) => (one.tabIndex = -1));
      item.tabIndex = 0;
      item.focus({ preventScroll: true });
      item.firstElementChild.scrollIntoView({ block: "nearest", inline: "nearest" });
    }

    const beside = (item, step) => {
      const all = itemsOf(item.parentElement);
      return all[all.indexOf(item) + step];
    };
    const isZoomed = (item) => item.classList.contains("path") && !item.firstElementChild.classList.contains("above");
    const KEYS = {
      ArrowDown: (item) => go(childrenOf(item)[0]),
      ArrowUp: (item) => go(parentOf(item)),
      ArrowRight: (item) => go(beside(item, 1)),
      ArrowLeft: (item) => go(beside(item, -1)),
      Home: () => go(itemsOf(flame)[0]),
      Enter: (item) => zoom(isZoomed(item) ? null : item),
      " ": (item) => zoom(isZoomed(item) ? null : item),
      Escape: (item) => {
        zoom(null);
        go(item);
      },
    };

    flame.addEventListener("keydown", (event) => {
      const item = event.target.closest("li");
      if (!item || !KEYS[event.key] || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      KEYS[event.key](item);
    });
    flame.addEventListener("click", (event) => {
      const item = event.target.closest("li");
      if (!item) return;
      zoom(isZoomed(item) ? null : item);
      go(item);
    });
    flame.addEventListener("focusin", (event) => tell(event.target.closest("li")));
    flame.addEventListener("focusout", () => tell(null));
    flame.addEventListener("pointerover", (event) => tell(event.target.closest("li")));
    flame.addEventListener("pointerleave", () => {
      const focused = document.activeElement?.closest("li");
      tell(focused && flame.contains(focused) ? focused : null);
    });
  }

  $("#search").addEventListener("input", (event) => {
    const wanted = event.target.value.trim().toLowerCase();
    const frames = $$(".frame");
    let hits = 0;
    frames.forEach((frame) => {
      const is = wanted !== "" && frame.firstElementChild.textContent.toLowerCase().includes(wanted);
      hits += is;
      frame.classList.toggle("hit", is);
      frame.classList.toggle("miss", wanted !== "" && !is);
    });
    $("#matches").textContent = wanted === "" ? "" : `${hits} of ${frames.length} frames`;
  });

  $$(".flame").forEach(ready);
  root.dataset.ready = "";
}
