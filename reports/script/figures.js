// Figures: drawn by Bokeh, each in its place in the page; drawn again where the theme changes.
// Uses: numbers, state, tables, calls.
const figures = (() => {
  const { formatNs, formatBytes, formatRate, formatCount, formatRatio, brief, percentile } = numbers;
  const { data, arms, unpack, figuresOf, chosen } = state;
  const { hideArms, chip } = tables;
  const { causeNote, callTexts } = calls;

  // ---- Axes --------------------------------------------------------------------------------

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
    rate: { type: "log", text: (value) => brief(formatRate(value)), told: formatRate, at: [...Array(10).keys()].flatMap((n) => [1, 1.5, 2, 3, 5, 7].map((step) => step * 10 ** (n + 1))) },
    factor: { type: "log", text: (value) => `${value}x`, told: formatRatio, at: [...Array(14).keys()].map((n) => 2 ** (n - 6)) },
    share: { type: "linear", text: (value) => `${Number((100 * value).toPrecision(3))}%` },
    each: { type: "linear", text: (value) => String(Number(value.toPrecision(2))) },
    elapsed: { type: "linear", text: (value) => brief(formatNs(value)) },
    held: { type: "linear", text: (value) => brief(formatBytes(value)), ticker: () => new Bokeh.AdaptiveTicker({ base: 1024, mantissas: [...Array(10).keys()].map((n) => 2 ** n) }) },
    resident: { type: "log", text: (value) => brief(formatBytes(value)), told: formatBytes, at: [...Array(30).keys()].flatMap((n) => [2 ** (n + 9), 3 * 2 ** (n + 8)]) },
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
      const { text, at, fine, ticker } = AXES[name];
      if (ticker) axis.ticker = ticker();
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

  // ---- The kinds of figures ----------------------------------------------------------------

  // Each kind of figure: (payload) -> panels [{title, arm, label, figure, lines}], with the ranges
  // that its panels share. `lines` are the renderers of single arms, shown and hidden with them.
  const FIGURES = {
    timeline(scenario) {
      const cells = Object.entries(figuresOf(scenario).timeline).map(([arm, cell]) => [Number(arm), cell, unpack(cell.ns)]);
      const x = range(0, Math.max(...cells.map(([, cell]) => cell.operations)));
      const y = range(...bounds(cells.map(([, , ns]) => ns)));
      return cells.map(([arm, cell, ns]) => {
        const figure = newFigure("count", "ns", x, y, 190);
        const texts = callTexts(cell);
        const [row, cause] = [unpack(cell.row), unpack(cell.cause)];
        const renderers = data.causes.map((look, code) => {
          const points = [...cause.keys()].filter((point) => cause[point] === code);
          const pick = (values) => points.map((point) => values[point]);
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

    resident(scenario) {
      const cells = Object.entries(figuresOf(scenario).resident).map(([arm, { ns, rss }]) => [Number(arm), unpack(ns), unpack(rss)]);
      if (!cells.length) return [];
      const most = (arrays) => Math.max(...arrays.map((array) => array.reduce((top, value) => Math.max(top, value), 1)));
      const x = range(0, 1.02 * most(cells.map(([, ns]) => ns)));
      const figure = newFigure("elapsed", "held", x, range(0, 1.08 * most(cells.map(([, , rss]) => rss))), 320);
      const lines = cells.map(([arm, ns, rss]) => {
        const text = Array.from(ns, (time, look) => `${arms[arm].name}, after ${formatNs(time)}: ${formatBytes(rss[look])}`);
        return line(figure, arm, { x: Array.from(ns), y: Array.from(rss), text });
      });
      hover(figure, lines.map(({ renderer }) => renderer));
      return [{ title: "", label: `Resident memory of ${data.scenarios[scenario].name} over time, a line an allocator.`, figure, lines, x }];
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

    scaling(sweep) {
      const part = data.scaling[sweep];
      const x = range(part.levels[0] / 1.15, part.levels.at(-1) * 1.15);
      return part.panels.map(({ title, axis, lines: byArm, ideal, common }) => {
        const all = [...Object.values(byArm), ...Object.values(ideal), common].flat().filter(Number.isFinite);
        const { type, text, told = text } = AXES[axis];
        const top = Math.max(...all);
        const y = type === "log" ? range(Math.min(...all) / 1.3, top * 1.3) : range(0, 1.2 * Math.max(top, 0.01));
        const figure = newFigure("level", axis, x, y, 300);
        figure.xaxes[0].ticker = new Bokeh.FixedTicker({ ticks: part.levels });
        if (part.shared) figure.add_layout(new Bokeh.BoxAnnotation({ left: part.cpus, fill_color: color("--area"), fill_alpha: 0.5, line_color: null, level: "underlay" }));
        const numbers = (values) => values.map((value) => value ?? NaN);
        if (common.length) figure.line(part.levels, common, { line_color: color("--quiet"), line_width: 1 });
        const thin = Object.entries(ideal).map(([arm, values]) => ({ arm: Number(arm), renderer: figure.line(part.levels, numbers(values), { line_color: arms[arm].colour, line_width: 1 }) }));
        const lines = Object.entries(byArm).map(([arm, values]) => {
          const hints = values.map((value, level) => `${arms[arm].name}, ${formatCount(part.levels[level])} threads: ${value === null ? "-" : told(value)}`);
          return line(figure, Number(arm), { x: part.levels, y: numbers(values), text: hints });
        });
        const dots = Object.entries(byArm).map(([arm, values]) => ({ arm: Number(arm), renderer: figure.scatter(part.levels, numbers(values), { size: 6, fill_color: arms[arm].colour, line_color: null }) }));
        hover(figure, lines.map(({ renderer }) => renderer));
        const note = part.shared ? `grey: beyond ${part.cpus} CPUs` : "";
        return { title, note, label: `${title} by threads, a line an allocator${common.length || thin.length ? ", and the ideal" : ""}.`, figure, lines: [...lines, ...dots, ...thin], x };
      });
    },
  };

  function line(figure, arm, columns) {
    const source = new Bokeh.ColumnDataSource({ data: columns });
    const look = arms[arm];
    const renderer = figure.line({ field: "x" }, { field: "y" }, { source, line_color: look.colour, line_width: 2, line_dash: look.dash });
    return { arm, renderer };
  }

  // ---- In the page -------------------------------------------------------------------------

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
    hideArms(host);
    hideLines(panels);
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

  function rebuild() {
    for (const host of [...built.keys()]) build(host);
  }

  // The lines of hidden allocators, of these panels or of all that are drawn.
  function hideLines(panels = [...built.values()].flat()) {
    for (const { arm, renderer } of panels.flatMap((panel) => panel.lines)) renderer.visible = !chosen.hide.has(arm);
  }

  return { build, rebuild, hideLines };
})();
