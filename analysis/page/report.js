"use strict";
// The table sorts by a click on a heading and filters by outcome and text; the theme can be chosen.
// What was chosen is kept while the page loads itself anew.
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
  const keep = () => {
    try {
      sessionStorage.setItem("tune-ode", JSON.stringify(state));
    } catch {
      // a page opened where nothing may be stored works all the same
    }
  };

  const themes = ["auto", "light", "dark"];
  const theme = document.getElementById("theme");
  const wear = (name) => {
    if (name === "auto") delete page.dataset.theme;
    else page.dataset.theme = name;
    theme.textContent = `theme: ${name}`;
    state.theme = name;
    keep();
  };
  theme.hidden = false;
  theme.addEventListener("click", () =>
    wear(themes[(themes.indexOf(state.theme) + 1) % themes.length]));
  wear(themes.includes(state.theme) ? state.theme : "auto");

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
    // what has no value comes last, whichever way; of equals the order of the ranking stays
    const known = rows.filter((row) => value(row, column) !== "");
    const unknown = rows.filter((row) => value(row, column) === "");
    known.sort((a, b) => (down ? -1 : 1) * compare(value(a, column), value(b, column)));
    body.append(...known, ...unknown);
  };
  headings.forEach((heading, column) => heading.querySelector("button")
    .addEventListener("click", () => {
      const first = heading.dataset.down === "1";
      const { sort: now } = state;
      // the better end first, then the other, then the order of the ranking again
      if (!now || now.column !== column) state.sort = { column, down: first };
      else state.sort = now.down === first ? { column, down: !first } : null;
      keep();
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
      keep();
      filter();
    });
  }
  search.value = state.text;
  search.addEventListener("input", () => {
    state.text = search.value;
    keep();
    filter();
  });

  const all = document.getElementById("all");
  const widen = () => table.classList.toggle("all", all.checked);
  all.checked = state.all;
  all.addEventListener("change", () => {
    state.all = all.checked;
    keep();
    widen();
  });
  document.querySelector(".controls").hidden = false;
  widen();
  sort();
  filter();
})();
