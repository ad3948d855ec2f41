// An audit of accessibility: returns a list of faults, each one line. It checks what axe-core's
// serious rules check of such a page: names, roles, labels, heading order, ids, tables, contrast,
// keyboard access. Run in the page; `text` contrast is computed against the nearest background.
() => {
  const faults = [];
  const all = (selector) => [...document.querySelectorAll(selector)].filter(visible);
  const say = (rule, element) => faults.push(`${rule}: ${element.outerHTML.slice(0, 160)}`);

  function visible(element) {
    return element.checkVisibility({ visibilityProperty: true }) && element.getClientRects().length > 0;
  }

  function nameOf(element) {
    const labelled = element.getAttribute("aria-labelledby");
    if (labelled) return labelled.split(" ").map((id) => document.getElementById(id)?.textContent ?? "").join(" ").trim();
    const labels = element.labels ? [...element.labels].map((label) => label.textContent).join(" ") : "";
    const own = "value" in element && element.tagName !== "BUTTON" ? "" : element.textContent;
    return (element.getAttribute("aria-label") ?? (labels || own)).trim();
  }

  // ---- The document
  if (!document.documentElement.lang) faults.push("html has no lang");
  if (!document.title.trim()) faults.push("no title");
  if (document.querySelectorAll("main").length !== 1) faults.push("not one main");
  if (document.querySelectorAll("h1").length !== 1) faults.push("not one h1");
  if (/maximum-scale|user-scalable/.test(document.querySelector("meta[name=viewport]")?.content ?? "")) faults.push("zoom is forbidden");
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  ids.filter((id, place) => ids.indexOf(id) !== place).forEach((id) => faults.push(`id twice: ${id}`));

  // ---- Headings go down one level at a time
  let level = 0;
  for (const heading of all("h1, h2, h3, h4, h5, h6")) {
    const next = Number(heading.tagName[1]);
    if (next > level + 1) say("a heading level is left out", heading);
    if (!nameOf(heading)) say("empty heading", heading);
    level = next;
  }

  // ---- Names
  for (const element of all("a[href], button, input, select, textarea, summary, [role=img], [role=region], [role=tree], [role=treeitem], nav, form, fieldset")) {
    if (element.tagName === "FIELDSET" ? !element.querySelector("legend")?.textContent.trim() : !nameOf(element)) say("no name", element);
  }
  for (const element of all("img")) if (!element.hasAttribute("alt")) say("no alt", element);
  for (const element of all("svg")) if (element.getAttribute("aria-hidden") !== "true" && !nameOf(element) && !element.closest("[role=img]")) say("svg without a name", element);
  for (const link of all("a[href^='#']")) if (!document.getElementById(link.getAttribute("href").slice(1))) say("link to nowhere", link);

  // ---- Tables
  for (const table of all("table")) {
    if (!table.querySelector("th")) say("table without headings", table);
    for (const head of table.querySelectorAll("th")) if (!head.scope) say("th without scope", head);
  }

  // ---- Keyboard
  for (const element of all("[tabindex]")) if (element.tabIndex > 0) say("tabindex above 0", element);
  for (const element of document.querySelectorAll("*")) {
    const { overflowX, overflowY } = getComputedStyle(element);
    const scrolls = (/auto|scroll/.test(overflowX) && element.scrollWidth > element.clientWidth + 1) || (/auto|scroll/.test(overflowY) && element.scrollHeight > element.clientHeight + 1);
    if (scrolls && element !== document.documentElement && visible(element) && element.tabIndex < 0) say("scrolls, and no key reaches it", element);
  }
  const ROLES = ["img", "region", "tooltip", "status", "tree", "treeitem", "group"];
  for (const element of document.querySelectorAll("[role]")) if (!ROLES.includes(element.getAttribute("role"))) say("unknown role", element);
  for (const head of document.querySelectorAll("[aria-sort]")) if (!["ascending", "descending"].includes(head.getAttribute("aria-sort"))) say("aria-sort", head);

  // ---- Contrast of text: 4.5, or 3 where it is large
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const cache = new Map();
  function rgba(color) {
    if (!cache.has(color)) {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = color;
      canvas.fillRect(0, 0, 1, 1);
      cache.set(color, [...canvas.getImageData(0, 0, 1, 1).data]);
    }
    return cache.get(color);
  }
  function backgrounds(element) {
    for (let at = element; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      const colors = [...style.backgroundImage.matchAll(/rgba?\([^)]*\)/g)].map(([color]) => rgba(color));
      if (colors.length) return colors;
      const own = rgba(style.backgroundColor);
      if (own[3] > 250) return [own];
    }
    return [[255, 255, 255, 255]];
  }
  function luminance([red, green, blue]) {
    const linear = [red, green, blue].map((part) => (part / 255 <= 0.03928 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  }
  function contrast(one, other) {
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  }
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || !visible(element) || element.closest("[aria-hidden=true], option")) continue;
    const style = getComputedStyle(element);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.6 && Number(style.fontWeight) >= 700);
    const sign = /^[▲■◆▼● ]+$/.test(node.textContent); // a mark, not text: 3 is asked of it
    const worst = Math.min(...backgrounds(element).map((ground) => contrast(rgba(style.color), ground)));
    if (worst < (large || sign ? 3 : 4.5)) say(`contrast ${worst.toFixed(2)}`, element);
  }
  return [...new Set(faults)];
}
