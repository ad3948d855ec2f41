// State: what the page was given, and what its reader chose of it: the baseline, what the matrix
// shows, the hidden allocators, the theme, the filter, the sorting. The choice is kept in the address after #, so
// that it can be sent as a link.
// Uses: numbers.
const state = (() => {
  const { ratioOf, countRatio, meanOfTimes, meanOfCounts, meanOfShares } = numbers;

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

  // #section&view=peak_rss&baseline=libc&hide=scudo,phase2&theme=dark&filter=text&sort.table=-3
  const nothing = () => ({ section: "", view: data.views[0].name, baseline: data.baseline, hide: new Set(), theme: "", filter: "", sort: {} });
  const chosen = nothing();

  function readState() {
    const [section, ...pairs] = location.hash.slice(1).split("&");
    Object.assign(chosen, nothing(), { section });
    const armOf = (name) => arms.findIndex((arm) => arm.name === name);
    for (const pair of pairs) {
      const [key, raw = ""] = pair.split("=");
      const value = decode(raw);
      if (key === "view" && viewOf(value)) chosen.view = value;
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
    if (chosen.view !== data.views[0].name) parts.push(`view=${chosen.view}`);
    if (chosen.baseline !== data.baseline) parts.push(`baseline=${encodeURIComponent(arms[chosen.baseline].name)}`);
    if (chosen.hide.size) parts.push(`hide=${[...chosen.hide].map((arm) => encodeURIComponent(arms[arm].name)).join(",")}`);
    if (chosen.theme) parts.push(`theme=${chosen.theme}`);
    if (chosen.filter) parts.push(`filter=${encodeURIComponent(chosen.filter)}`);
    for (const [table, order] of Object.entries(chosen.sort)) parts.push(`sort.${table}=${order}`);
    return `#${parts.join("&")}`;
  }

  const writeState = () => history.replaceState(null, "", fragment());

  // What is folded around it, and of a scenario its own part, is opened.
  function reveal(target) {
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    $$(":scope > .fold", target).forEach((fold) => (fold.open = true));
  }

  function goTo(section) {
    const target = section && document.getElementById(section);
    if (!target) return;
    reveal(target);
    target.setAttribute("tabindex", "-1");
    target.focus({ preventScroll: true });
    target.scrollIntoView();
  }

  // ---- Ratios to the chosen baseline -------------------------------------------------------

  const viewOf = (name) => data.views.find((view) => view.name === name);

  // Of a view, what it shows of a scenario: {timed, values: [of each arm]}; null where nobody has any.
  function columnOf(scenario, view) {
    const { times, views, program } = data.scenarios[scenario];
    if (view === "time") return { timed: true, values: times };
    if (view === "saved") return program ? null : { timed: true, values: times };
    return views[view] ?? null;
  }

  // By view, the same of the geometric means over its scenarios; null for an arm that lacks one.
  const means = Object.fromEntries(data.views.map(({ name }) => {
    const columns = data.scenarios.map((_, scenario) => columnOf(scenario, name)).filter(Boolean);
    const timed = columns[0]?.timed;
    const values = arms.map((_, arm) => {
      const rows = columns.map((column) => column.values[arm]);
      if (!rows.length || !rows.every(Boolean)) return null;
      return timed ? meanOfTimes(rows) : meanOfCounts(rows);
    });
    return [name, { timed, values }];
  }));
  const meanShares = arms.map((_, arm) => {
    const shares = data.scenarios.map((scenario) => scenario.replay[arm]);
    return shares.includes(null) ? null : meanOfShares(shares);
  });

  // An arm's figure in a column over the chosen baseline's, or null.
  function compare({ timed, values }, arm) {
    const [base, own] = [values[chosen.baseline], values[arm]];
    return timed ? ratioOf(base, own, data.ranks) : countRatio(base, own);
  }

  // The ratio of an arm to the chosen baseline, on a scenario or (null) over all of them. Of two
  // times that are mostly replay it is marked; the baseline's own is not. Of means no time is saved.
  function ratioTo(scenario, arm, view = "time") {
    const column = scenario === null ? means[view] : columnOf(scenario, view);
    const ratio = column && compare(column, arm);
    if (!ratio || view !== "time") return ratio && { ...ratio, saved: scenario === null ? null : ratio.saved };
    const shares = scenario === null ? meanShares : data.scenarios[scenario].replay;
    const replayed = [chosen.baseline, arm].every((one) => shares[one] >= data.mostly_replay);
    return { ...ratio, saved: scenario === null ? null : ratio.saved, mostlyReplay: replayed && !ratio.exact };
  }

  return { $, $$, data, arms, unpack, figuresOf, chosen, readState, writeState, fragment, goTo, viewOf, compare, ratioTo };
})();
