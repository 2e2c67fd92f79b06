"use strict";
// Sorting, filtering and the link between a table's rows and a roofline's points. Without it the page is whole.

function valueOf(row, column, isText) {
  const cell = row.cells[column];
  if (isText) return cell.textContent.trim();
  return cell.dataset.value === "" ? null : Number(cell.dataset.value);
}

const texts = new Intl.Collator("en", { numeric: true });

function compare(a, b) {
  return typeof a === "string" ? texts.compare(a, b) : a - b;
}

function sortBy(table, header, column) {
  const down = header.getAttribute("aria-sort") === "ascending";
  const isText = header.dataset.kind === "text";
  const rows = [...table.tBodies[0].rows].map((row) => [valueOf(row, column, isText), row]);
  rows.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return down ? compare(b, a) : compare(a, b);
  });
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", down ? "descending" : "ascending");
  table.tBodies[0].replaceChildren(...rows.map(([, row]) => row));
}

function filter(table, tools) {
  const text = tools.querySelector(".filter").value.trim().toLowerCase();
  const select = tools.querySelector(".op");
  const op = select ? select.value : "";
  const only = tools.querySelector(".only");
  let shown = 0;
  for (const row of table.tBodies[0].rows) {
    const fits = row.cells[0].textContent.toLowerCase().includes(text) && (!op || row.dataset.op === op)
      && !(only && only.checked && row.classList.contains("refused"));
    row.hidden = !fits;
    shown += fits;
  }
  tools.querySelector(".count").textContent = `${shown} of ${table.tBodies[0].rows.length}`;
}

function link(section, table) {
  const dots = new Map();
  for (const dot of section.querySelectorAll("circle.dot[data-layers]")) {
    for (const name of dot.dataset.layers.split("\n")) dots.set(name, [...(dots.get(name) || []), dot]);
  }
  const mark = (event, on) => {
    const row = event.target.closest("tbody tr");
    const name = row && row.cells[0].textContent.trim();
    for (const dot of dots.get(name) || []) dot.classList.toggle("marked", on);
  };
  table.addEventListener("mouseover", (event) => mark(event, true));
  table.addEventListener("mouseout", (event) => mark(event, false));
}

for (const section of document.querySelectorAll("section.machine")) {
  const table = section.querySelector("table.layers");
  const tools = section.querySelector(".tools");
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent;
    button.addEventListener("click", () => sortBy(table, header, column));
    header.replaceChildren(button);
  });
  tools.hidden = false;
  for (const kind of ["input", "change"]) tools.addEventListener(kind, () => filter(table, tools));
  link(section, table);
}

async function figures() {
  const element = document.getElementById("figures");
  if (!element.dataset.packed) return JSON.parse(element.textContent);
  const bytes = Uint8Array.from(atob(element.textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream(element.dataset.packed));
  return new Response(stream).json();
}

const save = document.getElementById("save");
save.hidden = false;
save.addEventListener("click", async () => {
  const values = await figures();
  const file = new Blob([JSON.stringify(values, null, 2) + "\n"], { type: "application/json" });
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(file);
  anchor.download = "report.json";
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 1000);
});
