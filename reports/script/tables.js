// Tables: the matrix in each of its views, the ratios of each scenario, sorting, filtering and hiding.
// Uses: numbers, state.
const tables = (() => {
  const { formatRatio, decided, ratioText, intervalText, savedWords, savedBounds, savedText, savedIntervalText, ratioLook, savedLook } = numbers;
  const { $, $$, data, arms, chosen, writeState, viewOf, compare, ratioTo } = state;

  const LEFT_OUT = "left out";

  // ---- Matrix ------------------------------------------------------------------------------

  const tip = $("#tip");
  const matrices = $$(".matrix");

  function describe(ratio, scenario, arm, view, figure) {
    const name = arms[arm].name;
    const place = scenario === null ? "over all scenarios" : `on ${data.scenarios[scenario].name}`;
    const status = scenario === null ? "ok" : data.scenarios[scenario].status[arm];
    if (status !== "ok") return `${name} ${place}: ${status}${status === LEFT_OUT ? " of the plan" : ""}`;
    const { noun } = viewOf(view);
    if (!ratio) return `${name} ${place}: no ${noun}, or none of the baseline`;
    const base = arms[chosen.baseline].name;
    const own = figure && !["time", "saved"].includes(view) ? `, ${figure}` : "";
    if (arm === chosen.baseline) return `${name} ${place}: the baseline${own}`;
    if (ratio.exact) return `${name} ${place}: the same ${noun} as ${base}${own}`;
    if (ratio.estimate === Infinity) return `${name} ${place}: ${figure} ${noun}, where ${base} has none`;
    const certainty = decided(ratio) ? "" : Number.isFinite(ratio.high) ? "; undecided, since the interval holds 1" : "; undecided";
    const worth = ratio.mostlyReplay ? "; both are mostly replay" : "";
    const bounds = savedBounds(ratio);
    const saved = savedWords(ratio) && `; ${savedWords(ratio)} an operation${bounds && `, interval ${bounds}`}`;
    return `${name} ${place}: ${formatRatio(ratio.estimate)} the ${noun} of ${base}${own}, interval ${intervalText(ratio)}${ratio.counted ? "" : `, ${ratio.rounds} rounds`}${certainty}${worth}${saved}`;
  }

  // A cell's text, and under it a second one where there is any.
  function write(cell, text, second) {
    cell.textContent = text;
    if (!second) return;
    const element = document.createElement("span");
    element.className = "below";
    element.textContent = second;
    cell.append(element);
  }

  function updateMatrix() {
    matrices.forEach(updateView);
    $$(".baseline").forEach((element) => (element.textContent = arms[chosen.baseline]?.name ?? ""));
  }

  // A view that is neither the time nor what is saved of it has the arm's own figure below.
  const TEXTS = {
    time: (ratio) => [ratioText(ratio), savedWords(ratio)],
    saved: (ratio) => [savedText(ratio), savedIntervalText(ratio)],
  };

  function updateView(matrix) {
    const { view } = matrix.dataset;
    const { steps } = viewOf(view);
    for (const row of $$("tbody tr", matrix)) {
      const scenario = "scenario" in row.dataset ? Number(row.dataset.scenario) : null;
      for (const cell of $$("td", row)) {
        const arm = Number(cell.dataset.arm);
        const status = scenario === null ? "ok" : data.scenarios[scenario].status[arm];
        const ratio = ratioTo(scenario, arm, view);
        const figure = $(".below", cell)?.textContent ?? "";
        if (status === "ok") {
          cell.className = view === "saved" ? savedLook(ratio, steps) : ratioLook(ratio, steps);
          write(cell, ...(TEXTS[view] ?? (() => [ratioText(ratio), figure]))(ratio));
        } else [cell.className, cell.textContent] = [status === LEFT_OUT ? "missing" : "failed", status];
        cell.setAttribute("aria-label", describe(ratio, scenario, arm, view, figure));
      }
    }
  }

  function showView() {
    for (const part of $$(".view")) part.classList.toggle("off", part.dataset.view !== chosen.view);
    for (const box of $$(".switch input[name=view]")) box.checked = box.value === chosen.view;
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
    for (const matrix of matrices) listenTo(matrix);
  }

  function listenTo(matrix) {
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
    $("#filter").value = chosen.filter;
    for (const row of matrices.flatMap((matrix) => $$("tbody tr[data-scenario]", matrix))) {
      const name = data.scenarios[Number(row.dataset.scenario)].name;
      row.hidden = !name.toLowerCase().includes(chosen.filter.toLowerCase());
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
        const figures = [
          [$("td.ratio", row), ratioText(ratio), savedWords(ratio)],
          [$("td.interval", row), intervalText(ratio), savedBounds(ratio)],
        ];
        for (const [cell, text, second] of figures) {
          write(cell, text, second);
          cell.dataset.v = ratio ? ratio.estimate : "";
        }
      }
      $(".of-replay", section).hidden = !marked;
    }
  }

  // What each allocator changed in a program.
  function updateChanges() {
    for (const table of $$("table.changed")) {
      const { changes } = data.scenarios[Number(table.closest("section").dataset.scenario)];
      for (const row of $$("tbody tr", table)) {
        $$("td", row).forEach((cell, column) => {
          const ratio = compare(changes[column], Number(row.dataset.arm));
          const interval = intervalText(ratio);
          cell.className = ratioLook(ratio, data.change_steps);
          $(".ratio", cell).textContent = ratioText(ratio);
          $(".interval", cell).textContent = interval === "-" ? "" : interval;
        });
      }
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
        const order = chosen.sort[table.id];
        chosen.sort[table.id] = order === `${column + 1}` ? `-${column + 1}` : `${column + 1}`;
        applySort(table);
        writeState();
      });
    });
  }

  // The order is a column from 1; negative is descending. Cells without a value come last.
  function applySort(table) {
    const order = Number(chosen.sort[table.id] ?? 0);
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

  // ---- Allocators --------------------------------------------------------------------------

  function hideArms(root = document) {
    $$("[data-arm]", root).forEach((element) => (element.hidden = chosen.hide.has(Number(element.dataset.arm))));
  }

  function chip(arm) {
    const element = document.createElement("span");
    element.className = "chip";
    element.style.background = arms[arm].colour;
    return element;
  }

  return { updateMatrix, showView, updateChanges, matrixKeys, applyFilter, updateRatios, sortable, applySort, hideArms, chip };
})();
