"use strict";
// Sort the table by a click on a heading, filter it by outcome and text, switch the theme.
// The state survives a reload of the page.
(() => {
  const page = document.documentElement;
  const table = document.getElementById("ranking");
  const stored = (() => {
    try {
      return JSON.parse(sessionStorage.getItem("tune-ode") || "{}");
    } catch {
      return {};
    }
  })();
  const state = { sort: null, hidden: [], text: "", all: false, ...stored };
  const save = () => {
    try {
      sessionStorage.setItem("tune-ode", JSON.stringify(state));
    } catch {
      // Without storage, the state is lost on a reload.
    }
  };

  const themes = ["auto", "light", "dark"];
  const theme = document.getElementById("theme");
  const setTheme = (name) => {
    if (name === "auto") delete page.dataset.theme;
    else page.dataset.theme = name;
    theme.textContent = `theme: ${name}`;
    state.theme = name;
    save();
  };
  theme.hidden = false;
  theme.addEventListener("click", () =>
    setTheme(themes[(themes.indexOf(state.theme) + 1) % themes.length]));
  setTheme(themes.includes(state.theme) ? state.theme : "auto");

  const refresh = Number(document.body.dataset.refresh);
  if (refresh > 0) setTimeout(() => location.reload(), 1000 * refresh);
  if (!table) return;

  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  const rows = [...body.rows];
  const value = (row, column) => row.cells[column].dataset.v;
  const compare = (a, b) => {
    const both = [Number(a), Number(b)];
    return both.some(Number.isNaN) ? (a < b ? -1 : a > b ? 1 : 0) : both[0] - both[1];
  };
  const sort = () => {
    headings.forEach((heading) => heading.removeAttribute("aria-sort"));
    if (!state.sort || !(state.sort.column < headings.length)) {
      body.append(...rows);
      return;
    }
    const { column, down } = state.sort;
    headings[column].setAttribute("aria-sort", down ? "descending" : "ascending");
    // Missing values come last in both directions; ties keep the order of the ranking.
    const known = rows.filter((row) => value(row, column) !== "");
    const unknown = rows.filter((row) => value(row, column) === "");
    known.sort((a, b) => (down ? -1 : 1) * compare(value(a, column), value(b, column)));
    body.append(...known, ...unknown);
  };
  headings.forEach((heading, column) => heading.querySelector("button")
    .addEventListener("click", () => {
      const first = heading.dataset.down === "1";
      const { sort: now } = state;
      // First click: best first; second: worst first; third: order of the ranking.
      if (!now || now.column !== column) state.sort = { column, down: first };
      else state.sort = now.down === first ? { column, down: !first } : null;
      save();
      sort();
    }));

  const chips = [...document.querySelectorAll(".chip")];
  const search = document.getElementById("search");
  const count = document.getElementById("count");
  const filter = () => {
    const text = state.text.toLowerCase();
    let shown = 0;
    for (const row of rows) {
      row.hidden = state.hidden.includes(row.dataset.outcome)
        || !row.textContent.toLowerCase().includes(text);
      shown += !row.hidden;
    }
    for (const chip of chips)
      chip.setAttribute("aria-pressed", String(!state.hidden.includes(chip.dataset.outcome)));
    count.textContent = shown === rows.length ? "" : `${shown} of ${rows.length} shown`;
  };
  for (const chip of chips) {
    chip.addEventListener("click", () => {
      const { outcome } = chip.dataset;
      const at = state.hidden.indexOf(outcome);
      if (at < 0) state.hidden.push(outcome);
      else state.hidden.splice(at, 1);
      save();
      filter();
    });
  }
  search.value = state.text;
  search.addEventListener("input", () => {
    state.text = search.value;
    save();
    filter();
  });

  const all = document.getElementById("all");
  const showAll = () => table.classList.toggle("all", all.checked);
  all.checked = state.all;
  all.addEventListener("change", () => {
    state.all = all.checked;
    save();
    showAll();
  });
  document.querySelector(".controls").hidden = false;
  showAll();
  sort();
  filter();
})();
