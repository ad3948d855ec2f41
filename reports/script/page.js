// Page: the controls, what is folded, and what starts when the page has loaded: tables at once, a figure when it
// comes near the window.
// Uses: state, tables, calls, figures.
(() => {
  const { $, $$, chosen, readState, writeState, fragment, goTo } = state;
  const { updateMatrix, showView, updateChanges, matrixKeys, applyFilter, updateRatios, sortable, applySort, hideArms } = tables;
  const { slowest } = calls;
  const { build, rebuild, hideLines } = figures;

  // ---- Drawn when near ---------------------------------------------------------------------

  const drawn = new Set();
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting && !drawn.has(entry.target)) draw(entry.target);
  }, { rootMargin: "300px" });

  function draw(host) {
    near.unobserve(host);
    if (host.classList.contains("slowest")) slowest(host);
    else build(host);
    drawn.add(host);
  }

  function drawAll() {
    $$(".plot, .slowest").filter((host) => !drawn.has(host)).forEach(draw);
  }

  // ---- Folded parts ------------------------------------------------------------------------

  const folds = () => $$(".scenario > .fold");

  function unfold(open) {
    folds().forEach((fold) => (fold.open = open));
    nameUnfold();
  }

  function nameUnfold() {
    const open = folds().length > 0 && folds().every((fold) => fold.open);
    $("#unfold").textContent = open ? "Fold all scenarios" : "Open all scenarios";
  }

  // On paper all is open; what was closed before is so again after it.
  let closed = [];
  function openForPrint() {
    closed = [...closed, ...$$("main details:not([open])")];
    closed.forEach((details) => (details.open = true));
  }

  function closeAfterPrint() {
    closed.forEach((details) => (details.open = false));
    closed = [];
  }

  // ---- Applying what was chosen ------------------------------------------------------------

  function applyHidden() {
    hideArms();
    hideLines();
  }

  function isDark() {
    return chosen.theme ? chosen.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }

  function applyTheme() {
    document.documentElement.dataset.theme = isDark() ? "dark" : "light";
    rebuild();
  }

  function apply() {
    $("#baseline").value = chosen.baseline;
    $$("#controls input[name=arm]").forEach((box) => (box.checked = !chosen.hide.has(Number(box.value))));
    showView();
    updateMatrix();
    updateRatios();
    updateChanges();
    applyFilter();
    applyHidden();
    $$("table.sortable").forEach(applySort);
  }

  function listen() {
    $("#controls").addEventListener("submit", (event) => event.preventDefault());
    $("#baseline").addEventListener("change", (event) => {
      chosen.baseline = Number(event.target.value);
      writeState();
      apply();
    });
    $("#controls").addEventListener("change", (event) => {
      if (event.target.name !== "arm") return;
      chosen.hide = new Set($$("#controls input[name=arm]").filter((box) => !box.checked).map((box) => Number(box.value)));
      writeState();
      applyHidden();
    });
    $(".switch").addEventListener("submit", (event) => event.preventDefault());
    $(".switch").addEventListener("change", (event) => {
      if (event.target.name !== "view") return;
      chosen.view = event.target.value;
      writeState();
      showView();
    });
    $("#unfold").addEventListener("click", () => unfold(!folds().every((fold) => fold.open)));
    folds().forEach((fold) => fold.addEventListener("toggle", nameUnfold));
    $("#filter").addEventListener("input", (event) => {
      chosen.filter = event.target.value;
      writeState();
      applyFilter();
    });
    $("#theme").addEventListener("click", () => {
      chosen.theme = isDark() ? "light" : "dark";
      writeState();
      applyTheme();
    });
    $("#print").addEventListener("click", () => {
      openForPrint();
      drawAll();
      setTimeout(() => print(), 1500);
    });
    addEventListener("beforeprint", () => {
      document.documentElement.dataset.theme = "light";
      openForPrint();
      drawAll();
    });
    addEventListener("afterprint", () => {
      closeAfterPrint();
      applyTheme();
    });
    document.addEventListener("click", (event) => {
      const link = event.target.closest("a[href^='#']");
      if (!link) return;
      event.preventDefault();
      chosen.section = link.getAttribute("href").slice(1);
      history.pushState(null, "", fragment());
      goTo(chosen.section);
    });
    const reread = () => {
      readState();
      applyTheme();
      apply();
      goTo(chosen.section);
    };
    addEventListener("popstate", reread);
    addEventListener("hashchange", reread);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", applyTheme);
  }

  // ---- Start -------------------------------------------------------------------------------

  Bokeh.set_log_level("error");
  $$(".fold").forEach((fold) => (fold.open = false));
  readState();
  applyTheme();
  $$("table.sortable").forEach(sortable);
  matrixKeys();
  apply();
  listen();
  $$(".plot, .slowest").forEach((host) => near.observe(host));
  goTo(chosen.section);
  nameUnfold();
  document.documentElement.dataset.ready = "true";
})();
