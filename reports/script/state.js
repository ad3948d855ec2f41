// State: what the page was given, and what its reader chose of it: the baseline, the hidden
// allocators, the theme, the filter, the sorting. The choice is kept in the address after #, so
// that it can be sent as a link.
// Uses: numbers.
const state = (() => {
  const { ratioOf, meanOfTimes, meanOfShares } = numbers;

  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

  // ---- What was given: payload.py says what is in it ---------------------------------------

  const data = JSON.parse($("#data").textContent);
  const arms = data.arms;

  const READERS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, f4: Float32Array };

  function unpack(text) {
    const bytes = Uint8Array.from(atob(text.slice(3)), (letter) => letter.charCodeAt(0));
    return new READERS[text.slice(0, 2)](bytes.buffer);
  }

  const parsed = new Map();
  function figuresOf(scenario) {
    if (!parsed.has(scenario)) parsed.set(scenario, JSON.parse($(`#figures-${scenario}`).textContent));
    return parsed.get(scenario);
  }

  // ---- What was chosen, in the fragment ----------------------------------------------------

  // #section&baseline=libc&hide=scudo,phase2&theme=dark&filter=text&sort.table=-3
  const chosen = { section: "", baseline: data.baseline, hide: new Set(), theme: "", filter: "", sort: {} };

  function readState() {
    const [section, ...pairs] = location.hash.slice(1).split("&");
    Object.assign(chosen, { section, baseline: data.baseline, hide: new Set(), theme: "", filter: "", sort: {} });
    const armOf = (name) => arms.findIndex((arm) => arm.name === name);
    for (const pair of pairs) {
      const [key, raw = ""] = pair.split("=");
      const value = decode(raw);
      if (key === "baseline" && armOf(value) >= 0) chosen.baseline = armOf(value);
      if (key === "hide") raw.split(",").map((name) => armOf(decode(name))).filter((arm) => arm >= 0).forEach((arm) => chosen.hide.add(arm));
      if (key === "theme" && ["dark", "light"].includes(value)) chosen.theme = value;
      if (key === "filter") chosen.filter = value;
      if (key.startsWith("sort.")) chosen.sort[key.slice(5)] = value;
    }
  }

  function decode(text) {
    try {
      return decodeURIComponent(text);
    } catch {
      return "";
    }
  }

  function fragment() {
    const parts = [chosen.section];
    if (chosen.baseline !== data.baseline) parts.push(`baseline=${encodeURIComponent(arms[chosen.baseline].name)}`);
    if (chosen.hide.size) parts.push(`hide=${[...chosen.hide].map((arm) => encodeURIComponent(arms[arm].name)).join(",")}`);
    if (chosen.theme) parts.push(`theme=${chosen.theme}`);
    if (chosen.filter) parts.push(`filter=${encodeURIComponent(chosen.filter)}`);
    for (const [table, order] of Object.entries(chosen.sort)) parts.push(`sort.${table}=${order}`);
    return `#${parts.join("&")}`;
  }

  const writeState = () => history.replaceState(null, "", fragment());

  function goTo(section) {
    const target = section && document.getElementById(section);
    if (!target) return;
    target.setAttribute("tabindex", "-1");
    target.focus({ preventScroll: true });
    target.scrollIntoView();
  }

  // ---- Ratios to the chosen baseline -------------------------------------------------------

  // Over all scenarios; null where an arm lacks one.
  const meanTimes = arms.map((_, arm) => {
    const rows = data.scenarios.map((scenario) => scenario.times[arm]);
    return rows.every(Boolean) ? meanOfTimes(rows) : null;
  });
  const meanShares = arms.map((_, arm) => {
    const shares = data.scenarios.map((scenario) => scenario.replay[arm]);
    return shares.includes(null) ? null : meanOfShares(shares);
  });

  // The ratio of an arm to the chosen baseline, on a scenario or (null) over all of them. Of two
  // times that are mostly replay it is marked; the baseline's own is not. Of means no time is saved.
  function ratioTo(scenario, arm) {
    const [times, shares] = scenario === null ? [meanTimes, meanShares] : [data.scenarios[scenario].times, data.scenarios[scenario].replay];
    const ratio = ratioOf(times[chosen.baseline], times[arm], data.ranks);
    const replayed = [chosen.baseline, arm].every((one) => shares[one] >= data.mostly_replay);
    return ratio && { ...ratio, saved: scenario === null ? null : ratio.saved, mostlyReplay: replayed && !ratio.exact };
  }

  return { $, $$, data, arms, unpack, figuresOf, chosen, readState, writeState, fragment, goTo, ratioTo };
})();
