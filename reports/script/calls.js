// Calls: the timed calls of each cell: their causes, what is said of each, and the slowest of them
// in a table.
// Uses: numbers, state, tables.
const calls = (() => {
  const { formatNs, formatCount } = numbers;
  const { data, arms, unpack, figuresOf } = state;
  const { sortable, applySort, hideArms, chip } = tables;

  function causeNote(cell) {
    if (!cell.shares) return "";
    const parts = cell.shares.map((share, code) => [share, data.causes[code].name]).filter(([share, name]) => share > 0 && name !== "neither");
    const text = (share) => (share < 0.001 ? "<0.1%" : `${+(100 * share).toFixed(1)}%`);
    return parts.length ? parts.map(([share, name]) => `${text(share)} ${name}`).join(", ") : "no system call, no fault";
  }

  function callsOf(cell) {
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
    return callsOf(cell).map((call) => {
      const size = call.size ? ` of ${formatCount(call.size)} B` : "";
      const thread = call.thread === null ? "" : `, thread ${call.thread}`;
      const why = call.calls || call.cause;
      return `operation ${formatCount(call.row)}${thread}: ${call.kind}${size}, ${formatNs(call.ns)}, ${why}`;
    });
  }

  // ---- The slowest calls -------------------------------------------------------------------

  const SLOWEST = 5;
  const CALL_COLUMNS = ["allocator", "operation", "kind", "size", "latency", "cause", "system calls", "faults"];

  function slowest(host) {
    const scenario = Number(host.dataset.scenario);
    const found = Object.entries(figuresOf(scenario).timeline).flatMap(([arm, cell]) =>
      callsOf(cell).sort((a, b) => b.ns - a.ns).slice(0, SLOWEST).map((call) => [Number(arm), call]));
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
    hideArms(host);
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

  return { causeNote, callTexts, slowest };
})();
