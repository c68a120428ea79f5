// Tables that can be sorted and filtered, and show their first rows. Without this script they are plain tables.
"use strict";
(function () {
  const PAGE = 100;
  const compare = new Intl.Collator("en", { numeric: true }).compare;

  // Numbers by size, other cells as text with numbers in it; what is not known comes last, whichever way.
  function sorted(rows, column, direction) {
    const keyed = rows.map(function (row) {
      const said = row.cells[column].textContent.trim();
      return { row: row, said: said, number: parseFloat(said.replace("−", "-")), lacks: said === "n/a" || said === "" };
    });
    const numeric = keyed.every(function (item) { return item.lacks || /^[-−]?[\d.]/.test(item.said); });
    keyed.sort(function (a, b) {
      if (a.lacks || b.lacks) { return a.lacks - b.lacks; }
      return direction * (numeric ? a.number - b.number : compare(a.said, b.said));
    });
    return keyed.map(function (item) { return item.row; });
  }

  function button(said, act) {
    const made = document.createElement("button");
    made.type = "button";
    made.append(...said);
    made.addEventListener("click", act);
    return made;
  }

  function enliven(form) {
    const table = document.getElementById(form.dataset.table);
    const body = table.tBodies[0];
    const heads = Array.from(table.tHead.rows[table.tHead.rows.length - 1].cells);
    const fields = form.elements;
    const words = new Map();
    let rows = Array.from(body.rows);
    let most = PAGE;

    function fits(row) {
      const wanted = fields.words.value.trim().toLowerCase();
      if (fields.group && fields.group.value && row.dataset.group !== fields.group.value) { return false; }
      if (fields.marked && fields.marked.checked && !("marked" in row.dataset)) { return false; }
      if (wanted && !words.has(row)) { words.set(row, row.textContent.toLowerCase()); }
      return !wanted || words.get(row).includes(wanted);
    }

    // Rows that are not shown are taken out: a table of thousands of rows is slow to lay out.
    function show() {
      const fitting = rows.filter(fits);
      const shown = fitting.slice(0, most);
      body.replaceChildren(...shown);
      form.querySelector("output").textContent = shown.length === fitting.length
        ? fitting.length + " of " + rows.length + " rows"
        : "the first " + shown.length + " of " + fitting.length + " rows";
      all.hidden = shown.length === fitting.length;
    }

    const all = button(["Show all rows"], function () { most = Infinity; show(); });
    form.append(all);
    heads.forEach(function (head, column) {
      const label = document.createElement("span");
      label.append(...head.childNodes);
      head.append(button([label], function () {
        const up = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach(function (other) { other.setAttribute("aria-sort", "none"); });
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        rows = sorted(rows, column, up ? 1 : -1);
        show();
      }));
      head.setAttribute("aria-sort", "none");
    });
    form.addEventListener("input", show);
    form.addEventListener("submit", function (event) { event.preventDefault(); });
    form.hidden = false;
    show();
    table.classList.remove("sortable");
  }

  document.querySelectorAll("form.filter").forEach(enliven);
})();
