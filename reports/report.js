// The report's page: chooses the baseline and the allocators, computes ratios anew, sorts and
// filters tables, draws the interactive figures when they come near the window, and keeps what
// was chosen in the address after #, so that it can be sent as a link.
"use strict";

(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const data = JSON.parse($("#data").textContent);
  const arms = data.arms;

  // ---- Numbers as text, as units.py prints them -------------------------------------------

  const MISSING = "-";
  const LEFT_OUT = "left out";
  const NS = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];
  const BYTES = [[2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"], [1, "B"]];

  function digits(value) {
    const size = Math.abs(value);
    const places = size >= 100 ? 0 : size >= 10 ? 1 : 2;
    return value.toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places });
  }

  function scaled(value, scales) {
    if (value === null || Number.isNaN(value)) return MISSING;
    const [factor, unit] = scales.find(([limit]) => Math.abs(value) >= limit) ?? scales.at(-1);
    return `${value === 0 ? "0" : digits(value / factor)} ${unit}`;
  }

  const formatNs = (value) => scaled(value, NS);
  const formatBytes = (value) => scaled(value, BYTES);
  const formatCount = (value) => value.toLocaleString("en-US");
  const formatRatio = (value) => (value === null ? MISSING : `${digits(value)}x`);
  const brief = (text) => text.replace(/(\.\d*?)0+(?= )/, "$1").replace(/\.(?= )/, "");
  const percentile = (above) => `p${(100 * (1 - above)).toFixed(6).replace(/\.?0+$/, "")}`;

  // ---- Ratios, as ratios.py computes them --------------------------------------------------

  // Times by round of two arms -> the median ratio with its order-statistic interval, or null.
  function ratioOf(base, candidate) {
    if (!base || !candidate) return null;
    const logs = base
      .map((time, round) => (time && candidate[round] ? Math.log(candidate[round]) - Math.log(time) : NaN))
      .filter(Number.isFinite)
      .sort((a, b) => a - b);
    const rounds = logs.length;
    if (!rounds) return null;
    if (base === candidate) return { estimate: 1, low: 1, high: 1, rounds, exact: true };
    const middle = rounds >> 1;
    const median = rounds % 2 ? logs[middle] : (logs[middle - 1] + logs[middle]) / 2;
    const rank = data.ranks[rounds];
    return {
      estimate: Math.exp(median),
      low: rank ? Math.exp(logs[rank - 1]) : 0,
      high: rank ? Math.exp(logs[rounds - rank]) : Infinity,
      rounds,
      exact: false,
    };
  }

  const decided = (ratio) => ratio.low > 1 || ratio.high < 1;

  function ratioText(ratio) {
    if (!ratio) return MISSING;
    return `${decided(ratio) || ratio.exact ? "" : "~"}${formatRatio(ratio.estimate)}${ratio.mostlyReplay ? "*" : ""}`;
  }

  function intervalText(ratio) {
    if (!ratio || ratio.exact) return MISSING;
    if (!Number.isFinite(ratio.high)) return "too few rounds";
    return `${formatRatio(ratio.low).slice(0, -1)} to ${formatRatio(ratio.high)}`;
  }

  function ratioLook(ratio) {
    if (!ratio) return "missing";
    if (ratio.exact) return "same";
    if (!decided(ratio)) return "undecided";
    const size = Math.max(ratio.estimate, 1 / ratio.estimate);
    const step = 1 + [1.25, 2, 8].filter((limit) => size >= limit).length;
    return `${ratio.estimate > 1 ? "slower" : "faster"}-${step}`;
  }

  // The geometric mean over all scenarios, by round; null where an arm lacks one.
  const meanTimes = arms.map((_, arm) => {
    const rows = data.scenarios.map((scenario) => scenario.times[arm]);
    if (rows.some((row) => !row)) return null;
    return rows[0].map((_, round) => {
      const logs = rows.map((row) => (row[round] ? Math.log(row[round]) : NaN));
      return Math.exp(logs.reduce((sum, value) => sum + value, 0) / logs.length);
    });
  });
  const meanShares = arms.map((_, arm) => {
    const shares = data.scenarios.map((scenario) => scenario.replay[arm]);
    return shares.includes(null) ? null : shares.reduce((product, share) => product * share, 1) ** (1 / shares.length);
  });

  // The ratio of an arm to the chosen baseline, on a scenario or (null) over all of them. Of two
  // times that are mostly replay it is marked; the baseline's own is not.
  function ratioTo(scenario, arm) {
    const [times, shares] = scenario === null ? [meanTimes, meanShares] : [data.scenarios[scenario].times, data.scenarios[scenario].replay];
    const ratio = ratioOf(times[state.baseline], times[arm]);
    const replayed = [state.baseline, arm].every((one) => shares[one] >= data.mostly_replay);
    return ratio && { ...ratio, mostlyReplay: replayed && !ratio.exact };
  }

  // ---- State, kept in the fragment ---------------------------------------------------------

  // #section&baseline=libc&hide=scudo,phase2&theme=dark&filter=text&sort.table=-3
  const state = { section: "", baseline: data.baseline, hide: new Set(), theme: "", filter: "", sort: {} };

  function readState() {
    const [section, ...pairs] = location.hash.slice(1).split("&");
    Object.assign(state, { section, baseline: data.baseline, hide: new Set(), theme: "", filter: "", sort: {} });
    const armOf = (name) => arms.findIndex((arm) => arm.name === name);
    for (const pair of pairs) {
      const [key, raw = ""] = pair.split("=");
      const value = decode(raw);
      if (key === "baseline" && armOf(value) >= 0) state.baseline = armOf(value);
      if (key === "hide") raw.split(",").map((name) => armOf(decode(name))).filter((arm) => arm >= 0).forEach((arm) => state.hide.add(arm));
      if (key === "theme" && ["dark", "light"].includes(value)) state.theme = value;
      if (key === "filter") state.filter = value;
      if (key.startsWith("sort.")) state.sort[key.slice(5)] = value;
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
    const parts = [state.section];
    if (state.baseline !== data.baseline) parts.push(`baseline=${encodeURIComponent(arms[state.baseline].name)}`);
    if (state.hide.size) parts.push(`hide=${[...state.hide].map((arm) => encodeURIComponent(arms[arm].name)).join(",")}`);
    if (state.theme) parts.push(`theme=${state.theme}`);
    if (state.filter) parts.push(`filter=${encodeURIComponent(state.filter)}`);
    for (const [table, order] of Object.entries(state.sort)) parts.push(`sort.${table}=${order}`);
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

  // ---- Matrix ------------------------------------------------------------------------------

  const tip = $("#tip");
  const matrix = $("#matrix");

  function describe(ratio, scenario, arm) {
    const name = arms[arm].name;
    const place = scenario === null ? "over all scenarios" : `on ${data.scenarios[scenario].name}`;
    const status = scenario === null ? "ok" : data.scenarios[scenario].status[arm];
    if (status !== "ok") return `${name} ${place}: ${status}${status === LEFT_OUT ? " of the plan" : ""}`;
    if (!ratio) return `${name} ${place}: no time, or none of the baseline`;
    const base = arms[state.baseline].name;
    if (ratio.exact) return `${name} ${place}: the baseline`;
    const certainty = decided(ratio) ? "" : Number.isFinite(ratio.high) ? "; undecided, since the interval holds 1" : "; undecided";
    const worth = ratio.mostlyReplay ? "; both are mostly replay" : "";
    return `${name} ${place}: ${formatRatio(ratio.estimate)} the time of ${base}, interval ${intervalText(ratio)}, ${ratio.rounds} rounds${certainty}${worth}`;
  }

  function updateMatrix() {
    for (const row of $$("tbody tr", matrix)) {
      const scenario = "scenario" in row.dataset ? Number(row.dataset.scenario) : null;
      for (const cell of $$("td", row)) {
        const arm = Number(cell.dataset.arm);
        const status = scenario === null ? "ok" : data.scenarios[scenario].status[arm];
        const ratio = ratioTo(scenario, arm);
        if (status === "ok") [cell.className, cell.textContent] = [ratioLook(ratio), ratioText(ratio)];
        else [cell.className, cell.textContent] = [status === LEFT_OUT ? "missing" : "failed", status];
        cell.setAttribute("aria-label", describe(ratio, scenario, arm));
      }
    }
    $$(".baseline").forEach((element) => (element.textContent = arms[state.baseline]?.name ?? ""));
  }

  function showTip(cell) {
    tip.textContent = cell.getAttribute("aria-label");
    tip.hidden = false;
    const box = cell.getBoundingClientRect();
    const left = Math.min(box.left, innerWidth - tip.offsetWidth - 8);
    const above = box.top - tip.offsetHeight - 6;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${above > 0 ? above : box.bottom + 6}px`;
  }

  const STEPS = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };

  function matrixKeys() {
    const first = $("td", matrix);
    if (first) first.tabIndex = 0;
    const cellOf = (event) => event.target.closest("td");
    matrix.addEventListener("pointerover", (event) => cellOf(event) && showTip(cellOf(event)));
    matrix.addEventListener("pointerout", () => (tip.hidden = true));
    matrix.addEventListener("focusin", (event) => cellOf(event) && showTip(cellOf(event)));
    matrix.addEventListener("focusout", () => (tip.hidden = true));
    matrix.addEventListener("keydown", (event) => {
      const cell = cellOf(event);
      if (event.key === "Escape") tip.hidden = true;
      if (!cell || !(event.key in STEPS)) return;
      event.preventDefault();
      const rows = $$("tbody tr", matrix).filter((row) => !row.hidden);
      const cells = (row) => $$("td", row).filter((other) => !other.hidden);
      const [down, right] = STEPS[event.key];
      const row = rows.indexOf(cell.parentElement) + down;
      const column = cells(cell.parentElement).indexOf(cell) + right;
      const next = rows[row] && cells(rows[row])[column];
      if (!next) return;
      cell.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    });
  }

  function applyFilter() {
    $("#filter").value = state.filter;
    for (const row of $$("tbody tr[data-scenario]", matrix)) {
      const name = data.scenarios[Number(row.dataset.scenario)].name;
      row.hidden = !name.toLowerCase().includes(state.filter.toLowerCase());
    }
  }

  // ---- Tables ------------------------------------------------------------------------------

  function updateRatios() {
    for (const section of $$("section.scenario")) {
      const scenario = Number(section.dataset.scenario);
      let marked = false;
      for (const row of $$("table.figures tbody tr", section)) {
        const ratio = ratioTo(scenario, Number(row.dataset.arm));
        marked ||= Boolean(ratio?.mostlyReplay);
        const cells = [[$("td.ratio", row), ratioText(ratio)], [$("td.interval", row), intervalText(ratio)]];
        for (const [cell, text] of cells) {
          cell.textContent = text;
          cell.dataset.v = ratio ? ratio.estimate : "";
        }
      }
      $(".of-replay", section).hidden = !marked;
    }
  }

  function sortable(table) {
    $$("thead th", table).forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const order = state.sort[table.id];
        state.sort[table.id] = order === `${column + 1}` ? `-${column + 1}` : `${column + 1}`;
        applySort(table);
        writeState();
      });
    });
  }

  // The order is a column from 1; negative is descending. Cells without a value come last.
  function applySort(table) {
    const order = Number(state.sort[table.id] ?? 0);
    const heads = $$("thead th", table);
    const column = Math.abs(order) - 1;
    if (!Number.isInteger(order) || !heads[column]) return;
    heads.forEach((head, index) => {
      if (index === column) head.setAttribute("aria-sort", order > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
    const key = (row) => {
      const cell = row.cells[column];
      if (!("v" in cell.dataset)) return cell.textContent;
      return cell.dataset.v === "" ? null : Number(cell.dataset.v);
    };
    const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b) : a - b) * Math.sign(order);
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [key(row), row]);
    rows.sort(([a], [b]) => (a === null ? (b === null ? 0 : 1) : b === null ? -1 : compare(a, b)));
    body.append(...rows.map(([, row]) => row));
  }

  // ---- Figures -----------------------------------------------------------------------------

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

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // An axis in our units: Bokeh asks doFormat for the texts of its ticks.
  function ticks(text) {
    class Ticks extends Bokeh.BasicTickFormatter {
      doFormat(values) {
        return values.map(text);
      }
    }
    return new Ticks();
  }

  const AXES = {
    ns: { type: "log", text: (value) => brief(formatNs(value)) },
    count: { type: "linear", text: (value) => formatCount(value) },
    bytes: { type: "log", text: (value) => brief(formatBytes(value)), at: [...Array(10).keys()].map((n) => 16 ** (n + 2)), fine: [...Array(20).keys()].map((n) => 4 ** (n + 4)) },
    above: { type: "log", text: (share) => percentile(share).slice(1), at: [0.5, ...[...Array(8).keys()].map((n) => 10 ** -(n + 1))] },
    level: { type: "log", text: (value) => formatCount(value) },
  };

  function newFigure(x, y, xRange, yRange, height) {
    const figure = Bokeh.Plotting.figure({
      height,
      sizing_mode: "stretch_width",
      x_range: xRange,
      y_range: yRange,
      x_axis_type: AXES[x].type,
      y_axis_type: AXES[y].type,
      toolbar_location: null,
      tools: "",
      background_fill_color: color("--page"),
      border_fill_color: color("--page"),
      outline_line_color: null,
      min_border_left: 62,
      min_border_right: 16,
    });
    for (const [axis, name, span] of [[figure.xaxes[0], x, xRange], [figure.yaxes[0], y, yRange]]) {
      const { text, at, fine } = AXES[name];
      axis.formatter = ticks(text);
      // On an axis that runs backwards, as that of percentiles does, it would leave out all but one.
      if (span.end > span.start) axis.major_label_policy = new Bokeh.NoOverlap({ min_distance: 6 });
      if (at) axis.ticker = new Bokeh.FixedTicker({ ticks: fine && span.end / span.start < 4 ** 7 ? fine : at });
      axis.axis_line_color = axis.major_tick_line_color = color("--line");
      axis.minor_tick_line_color = null;
      axis.major_label_text_color = color("--quiet");
      axis.major_label_text_font_size = "11px";
    }
    for (const line of figure.grids) line.grid_line_color = color("--grid");
    if (!matchMedia("(pointer: coarse)").matches) {
      const zoom = new Bokeh.BoxZoomTool();
      figure.add_tools(zoom);
      figure.toolbar.active_drag = zoom;
    }
    return figure;
  }

  function hover(figure, renderers) {
    figure.add_tools(new Bokeh.HoverTool({ renderers, tooltips: [["", "@text"]], line_policy: "nearest" }));
  }

  const range = (start, end) => new Bokeh.Range1d({ start, end, reset_start: start, reset_end: end });

  function bounds(arrays) {
    let low = Infinity;
    let high = 0;
    for (const array of arrays) for (const value of array) {
      if (value > 0 && value < low) low = value;
      if (value > high) high = value;
    }
    return [Math.max(low, 1) / 1.5, high * 1.5];
  }

  // Each kind of figure: (payload) -> panels [{title, arm, label, figure, lines}], with the ranges
  // that its panels share. `lines` are the renderers of single arms, shown and hidden with them.
  const FIGURES = {
    timeline(scenario) {
      const cells = Object.entries(figuresOf(scenario).timeline).map(([arm, cell]) => [Number(arm), cell, unpack(cell.ns)]);
      const x = range(0, Math.max(...cells.map(([, cell]) => cell.operations)));
      const y = range(...bounds(cells.map(([, , ns]) => ns)));
      return cells.map(([arm, cell, ns]) => {
        const figure = newFigure("count", "ns", x, y, 190);
        const texts = callTexts(cell, ns);
        const [row, cause] = [unpack(cell.row), unpack(cell.cause)];
        const renderers = data.causes.map((look, code) => {
          const chosen = [...cause.keys()].filter((point) => cause[point] === code);
          const pick = (values) => chosen.map((point) => values[point]);
          const source = new Bokeh.ColumnDataSource({ data: { x: pick(row), y: pick(ns), text: pick(texts) } });
          const quiet = look.name === "neither";
          return figure.scatter({ field: "x" }, { field: "y" }, { source, size: quiet ? 2.5 : 5, marker: look.marker, fill_color: look.colour, line_color: null, level: quiet ? "glyph" : "annotation" });
        });
        hover(figure, renderers);
        return { title: arms[arm].name, arm, note: causeNote(cell), label: `Latency of ${formatCount(cell.total)} calls of ${arms[arm].name} in order. ${causeNote(cell)}`, figure, lines: [], x };
      });
    },

    percentiles(scenario) {
      const kinds = Object.entries(figuresOf(scenario).percentiles).map(([kind, curves]) => [kind, Object.entries(curves).map(([arm, curve]) => [Number(arm), curve.samples, unpack(curve.ns), curve.floor])]);
      const samples = Math.max(...kinds.flatMap(([, curves]) => curves.map(([, count]) => count)));
      const x = range(1, 1 / samples);
      const y = range(...bounds(kinds.flatMap(([, curves]) => curves.map(([, , ns]) => ns))));
      return kinds.map(([kind, curves]) => {
        const figure = newFigure("above", "ns", x, y, 300);
        const clock = data.scenarios[scenario].clock;
        if (clock) figure.line([1, 1 / samples], [clock, clock], { line_color: color("--quiet"), line_dash: [4, 4] });
        const lines = curves.map(([arm, count, ns]) => {
          const above = Array.from(ns, (_, point) => count ** (-point / (ns.length - 1)));
          const text = above.map((share, point) => `${arms[arm].name}, ${percentile(share)}: ${formatNs(ns[point])}`);
          return line(figure, arm, { x: above, y: ns, text });
        });
        hover(figure, lines.map(({ renderer }) => renderer));
        const floored = curves.filter(([, , , floor]) => floor).map(([arm]) => arms[arm].name);
        const note = floored.length ? `median at the clock's floor: ${floored.join(", ")}` : "";
        return { title: kind, note, label: `Latency of ${kind} by percentile, a line an allocator.`, figure, lines, x };
      });
    },

    memory(scenario) {
      const cells = Object.entries(figuresOf(scenario).memory).map(([arm, cell]) => [Number(arm), Object.fromEntries(Object.entries(cell).map(([key, values]) => [key, unpack(values)]))]);
      if (!cells.length) return [];
      const live = cells[0][1];
      const x = range(0, Math.max(...cells.map(([, cell]) => cell.op.at(-1))));
      const low = Math.max(4096, Math.max(...live.live) / 128);
      return [["rss", "resident"], ["mapped", "mapped from the system"]].map(([key, title]) => {
        const y = range(low, 1.5 * Math.max(...cells.map(([, cell]) => Math.max(...cell[key]))));
        const figure = newFigure("count", "bytes", x, y, 280);
        const clipped = (values) => Array.from(values, (value) => Math.max(value, low));
        figure.varea(Array.from(live.op), live.live.map(() => low), clipped(live.live), { fill_color: color("--area"), level: "underlay" });
        const lines = cells.map(([arm, cell]) => {
          const text = Array.from(cell.op, (op, point) => `${arms[arm].name}, operation ${formatCount(op)}: ${formatBytes(cell[key][point])} ${title}, ${formatBytes(cell.live[point])} live`);
          return line(figure, arm, { x: Array.from(cell.op), y: clipped(cell[key]), text });
        });
        hover(figure, lines.map(({ renderer }) => renderer));
        return { title, label: `Memory ${title} over operation time, a line an allocator.`, figure, lines, x };
      });
    },

    growth(sweep) {
      const part = data.growth[sweep];
      const x = range(part.levels[0] / 1.2, part.levels.at(-1) * 1.2);
      const y = range(...bounds([...Object.values(part.lines), part.floor].map((values) => values.filter(Number.isFinite))));
      const figure = newFigure("level", "ns", x, y, 340);
      figure.line(part.levels, part.floor.map((value) => value ?? NaN), { line_color: color("--quiet"), line_dash: [4, 4] });
      const lines = Object.entries(part.lines).map(([arm, values]) => {
        const text = values.map((value, level) => `${arms[arm].name}, ${part.parameter} ${formatCount(part.levels[level])}: ${formatNs(value)}`);
        const numbers = values.map((value) => value ?? NaN);
        figure.scatter(part.levels, numbers, { size: 6, fill_color: arms[arm].colour, line_color: null });
        return line(figure, Number(arm), { x: part.levels, y: numbers, text });
      });
      hover(figure, lines.map(({ renderer }) => renderer));
      return [{ title: "", label: `Time per op by ${part.parameter}, a line an allocator.`, figure, lines, x }];
    },
  };

  function line(figure, arm, columns) {
    const source = new Bokeh.ColumnDataSource({ data: columns });
    const look = arms[arm];
    const renderer = figure.line({ field: "x" }, { field: "y" }, { source, line_color: look.colour, line_width: 2, line_dash: look.dash });
    return { arm, renderer };
  }

  function causeNote(cell) {
    if (!cell.shares) return "";
    const parts = cell.shares.map((share, code) => [share, data.causes[code].name]).filter(([share, name]) => share > 0 && name !== "neither");
    const text = (share) => (share < 0.001 ? "<0.1%" : `${+(100 * share).toFixed(1)}%`);
    return parts.length ? parts.map(([share, name]) => `${text(share)} ${name}`).join(", ") : "no system call, no fault";
  }

  function calls(cell) {
    const ns = unpack(cell.ns);
    const columns = Object.fromEntries(["row", "cause", "kind", "size", "faults", "call"].map((name) => [name, unpack(cell[name])]));
    const thread = cell.thread ? unpack(cell.thread) : null;
    return Array.from(ns, (value, point) => ({
      row: columns.row[point],
      kind: data.kinds[columns.kind[point]],
      size: columns.size[point],
      ns: value,
      cause: data.causes[columns.cause[point]].name,
      calls: counted(cell.calls[columns.call[point]]),
      faults: columns.faults[point],
      thread: thread ? thread[point] : null,
    }));
  }

  // "brk+mmap+mmap" -> "brk, mmap x2"
  function counted(names) {
    const counts = new Map();
    for (const name of names.split("+")) counts.set(name, (counts.get(name) ?? 0) + 1);
    return [...counts].map(([name, count]) => (count > 1 ? `${name} x${count}` : name)).join(", ");
  }

  function callTexts(cell) {
    return calls(cell).map((call) => {
      const size = call.size ? ` of ${formatCount(call.size)} B` : "";
      const thread = call.thread === null ? "" : `, thread ${call.thread}`;
      const why = call.calls || call.cause;
      return `operation ${formatCount(call.row)}${thread}: ${call.kind}${size}, ${formatNs(call.ns)}, ${why}`;
    });
  }

  const built = new Map();

  function build(host) {
    const { figure: kind } = host.dataset;
    const index = Number(host.dataset.scenario ?? host.dataset.sweep);
    const panels = FIGURES[kind](index);
    host.replaceChildren();
    host.classList.add("ready");
    if (!panels.length) host.textContent = "Not measured.";
    else if (kind === "timeline") host.append(causeKey());
    const grid = document.createElement("div");
    grid.className = `panels ${kind}`;
    for (const panel of panels) grid.append(panelElement(panel));
    host.append(grid);
    if (panels.length) host.append(zoomButtons(panels[0].x));
    const doc = new Bokeh.Document();
    panels.forEach(({ figure }) => doc.add_root(figure));
    built.set(host, panels);
    applyHidden(host);
    Bokeh.embed.add_document_standalone(doc, host, panels.map(({ place }) => place));
  }

  function panelElement(panel) {
    const element = document.createElement("div");
    element.className = "panel";
    if (panel.arm !== undefined) element.dataset.arm = panel.arm;
    if (panel.title) {
      const title = document.createElement("p");
      title.className = "title";
      if (panel.arm !== undefined) title.append(chip(panel.arm));
      const name = document.createElement("b");
      name.textContent = panel.title;
      const note = document.createElement("span");
      note.className = "quiet";
      note.textContent = title.title = panel.note ?? "";
      title.append(name, " ", note);
      element.append(title);
    }
    panel.place = document.createElement("div");
    panel.place.setAttribute("role", "img");
    panel.place.setAttribute("aria-label", panel.label);
    element.append(panel.place);
    return element;
  }

  function chip(arm) {
    const element = document.createElement("span");
    element.className = "chip";
    element.style.background = arms[arm].colour;
    return element;
  }

  function causeKey() {
    const marks = { triangle: "▲", square: "■", diamond: "◆", inverted_triangle: "▼", circle: "●" };
    const element = document.createElement("p");
    element.className = "causes";
    for (const cause of data.causes) {
      const entry = document.createElement("span");
      const mark = document.createElement("span");
      mark.style.color = cause.colour;
      mark.textContent = `${marks[cause.marker]} `;
      entry.append(mark, cause.name);
      element.append(entry);
    }
    return element;
  }

  function zoomButtons(x) {
    const element = document.createElement("div");
    element.className = "zoom";
    // A share of the visible axis, from its ends; logarithmic axes are cut in logarithms.
    const cut = (from, to) => () => {
      const logs = x.reset_start > 0 && x.reset_end > 0;
      const [start, end] = logs ? [Math.log(x.start), Math.log(x.end)] : [x.start, x.end];
      const at = (share) => (logs ? Math.exp(start + share * (end - start)) : start + share * (end - start));
      x.setv({ start: at(from), end: at(to) });
    };
    const buttons = [["Zoom in", cut(0.25, 0.75)], ["Zoom out", cut(-0.5, 1.5)], ["Left", cut(-0.3, 0.7)], ["Right", cut(0.3, 1.3)], ["Reset", () => x.setv({ start: x.reset_start, end: x.reset_end })]];
    for (const [text, action] of buttons) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = text;
      button.addEventListener("click", action);
      element.append(button);
    }
    return element;
  }

  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting && !built.has(entry.target)) draw(entry.target);
  }, { rootMargin: "300px" });

  function draw(host) {
    near.unobserve(host);
    if (host.classList.contains("slowest")) slowest(host);
    else build(host);
  }

  // ---- The slowest calls -------------------------------------------------------------------

  const SLOWEST = 5;
  const CALL_COLUMNS = ["allocator", "operation", "kind", "size", "latency", "cause", "system calls", "faults"];

  function slowest(host) {
    const scenario = Number(host.dataset.scenario);
    const found = Object.entries(figuresOf(scenario).timeline).flatMap(([arm, cell]) =>
      calls(cell).sort((a, b) => b.ns - a.ns).slice(0, SLOWEST).map((call) => [Number(arm), call]));
    built.set(host, []);
    if (!found.length) {
      host.textContent = "Not measured.";
      return;
    }
    found.sort(([, a], [, b]) => b.ns - a.ns);
    const threads = found.some(([, call]) => call.thread !== null);
    const table = document.createElement("table");
    table.id = `calls-of-${scenario}`;
    table.className = "sortable slow";
    const head = table.createTHead().insertRow();
    for (const name of threads ? [...CALL_COLUMNS, "thread"] : CALL_COLUMNS) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = name;
      head.append(cell);
    }
    const body = table.createTBody();
    for (const [arm, call] of found) body.append(callRow(arm, call, threads));
    const wide = document.createElement("div");
    wide.className = "wide tall";
    wide.tabIndex = 0;
    wide.setAttribute("role", "region");
    wide.setAttribute("aria-label", `Slowest calls on ${data.scenarios[scenario].name}`);
    wide.append(table);
    host.append(callFilter(body), wide);
    sortable(table);
    applySort(table);
    applyHidden(host);
  }

  function callRow(arm, call, threads) {
    const row = document.createElement("tr");
    row.dataset.arm = arm;
    const name = document.createElement("th");
    name.scope = "row";
    name.append(chip(arm), arms[arm].name);
    row.append(name);
    const cells = [[formatCount(call.row), call.row], [call.kind], [call.size ? `${formatCount(call.size)} B` : "", call.size], [formatNs(call.ns), call.ns], [call.cause], [call.calls], [call.faults || "", call.faults]];
    if (threads) cells.push([call.thread, call.thread]);
    for (const [text, value] of cells) {
      const cell = row.insertCell();
      cell.textContent = text;
      if (value !== undefined) cell.dataset.v = value;
    }
    return row;
  }

  function callFilter(body) {
    const label = document.createElement("label");
    label.className = "filter";
    const input = document.createElement("input");
    input.type = "search";
    input.autocomplete = "off";
    label.append("Filter calls ", input);
    input.addEventListener("input", () => {
      const text = input.value.toLowerCase();
      for (const row of body.rows) row.classList.toggle("out", !row.textContent.toLowerCase().includes(text));
    });
    return label;
  }

  // ---- Applying what was chosen ------------------------------------------------------------

  function applyHidden(root = document) {
    $$("[data-arm]", root).forEach((element) => (element.hidden = state.hide.has(Number(element.dataset.arm))));
    for (const [host, panels] of built) {
      if (root !== document && root !== host) continue;
      for (const { arm, renderer } of panels.flatMap((panel) => panel.lines)) renderer.visible = !state.hide.has(arm);
    }
  }

  function isDark() {
    return state.theme ? state.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }

  function applyTheme() {
    document.documentElement.dataset.theme = isDark() ? "dark" : "light";
    for (const host of [...built.keys()].filter((element) => element.dataset.figure)) build(host);
  }

  function apply() {
    $("#baseline").value = state.baseline;
    $$("#controls input[name=arm]").forEach((box) => (box.checked = !state.hide.has(Number(box.value))));
    updateMatrix();
    updateRatios();
    applyFilter();
    applyHidden();
    $$("table.sortable").forEach(applySort);
  }

  function drawAll() {
    $$(".plot, .slowest").filter((host) => !built.has(host)).forEach(draw);
  }

  function listen() {
    $("#controls").addEventListener("submit", (event) => event.preventDefault());
    $("#baseline").addEventListener("change", (event) => {
      state.baseline = Number(event.target.value);
      writeState();
      apply();
    });
    $("#controls").addEventListener("change", (event) => {
      if (event.target.name !== "arm") return;
      state.hide = new Set($$("#controls input[name=arm]").filter((box) => !box.checked).map((box) => Number(box.value)));
      writeState();
      applyHidden();
    });
    $("#filter").addEventListener("input", (event) => {
      state.filter = event.target.value;
      writeState();
      applyFilter();
    });
    $("#theme").addEventListener("click", () => {
      state.theme = isDark() ? "light" : "dark";
      writeState();
      applyTheme();
    });
    $("#print").addEventListener("click", () => {
      drawAll();
      setTimeout(() => print(), 1500);
    });
    addEventListener("beforeprint", () => {
      document.documentElement.dataset.theme = "light";
      drawAll();
    });
    addEventListener("afterprint", applyTheme);
    document.addEventListener("click", (event) => {
      const link = event.target.closest("a[href^='#']");
      if (!link) return;
      event.preventDefault();
      state.section = link.getAttribute("href").slice(1);
      history.pushState(null, "", fragment());
      goTo(state.section);
    });
    const reread = () => {
      readState();
      applyTheme();
      apply();
      goTo(state.section);
    };
    addEventListener("popstate", reread);
    addEventListener("hashchange", reread);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", applyTheme);
  }

  Bokeh.set_log_level("error");
  readState();
  applyTheme();
  $$("table.sortable").forEach(sortable);
  matrixKeys();
  apply();
  listen();
  $$(".plot, .slowest").forEach((host) => near.observe(host));
  goTo(state.section);
  document.documentElement.dataset.ready = "true";
})();
