// Tables that can be sorted and filtered. Without this script they are plain tables.
"use strict";
(function () {
  const compare = new Intl.Collator("en", { numeric: true }).compare;

  function text(row, column) {
    return row.cells[column].textContent.trim();
  }

  // Numbers by size, other cells as text with numbers in it; what is not known comes last, whichever way.
  function sorted(rows, column, direction) {
    const keyed = rows.map(function (row) {
      const said = text(row, column);
      return { row: row, said: said, number: parseFloat(said.replace("−", "-")), lacks: said === "n/a" || said === "" };
    });
    const numeric = keyed.every(function (item) { return item.lacks || /^[-−]?[\d.]/.test(item.said); });
    keyed.sort(function (a, b) {
      if (a.lacks || b.lacks) { return a.lacks - b.lacks; }
      return direction * (numeric ? a.number - b.number : compare(a.said, b.said));
    });
    return keyed.map(function (item) { return item.row; });
  }

  function sortable(table) {
    const heads = Array.from(table.tHead.rows[table.tHead.rows.length - 1].cells);
    const body = table.tBodies[0];
    heads.forEach(function (head, column) {
      const button = document.createElement("button");
      button.type = "button";
      const label = document.createElement("span");
      label.append(...head.childNodes);
      button.append(label);
      head.append(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", function () {
        const up = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach(function (other) { other.setAttribute("aria-sort", "none"); });
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        body.append(...sorted(Array.from(body.rows), column, up ? 1 : -1));
      });
    });
  }

  function filterable(form) {
    const rows = Array.from(document.getElementById(form.dataset.table).tBodies[0].rows);
    const words = rows.map(function (row) { return row.textContent.toLowerCase(); });
    const said = form.querySelector("output");
    function apply() {
      const wanted = form.elements.words.value.trim().toLowerCase();
      const group = form.elements.group ? form.elements.group.value : "";
      const marked = form.elements.marked ? form.elements.marked.checked : false;
      let shown = 0;
      rows.forEach(function (row, n) {
        const fits = (!wanted || words[n].includes(wanted)) && (!group || row.dataset.group === group) &&
          (!marked || "marked" in row.dataset);
        row.hidden = !fits;
        shown += fits;
      });
      said.textContent = shown + " of " + rows.length + " rows shown";
    }
    form.addEventListener("input", apply);
    form.addEventListener("submit", function (event) { event.preventDefault(); });
    form.hidden = false;
    apply();
  }

  document.querySelectorAll("table.sortable").forEach(sortable);
  document.querySelectorAll("form.filter").forEach(filterable);
})();
