// light or dark, tables that sort, code that can be copied
const root = document.documentElement;

function shown(dark) {
  root.style.colorScheme = dark ? "dark" : "light";
  theme.textContent = dark ? "Light" : "Dark";
  theme.setAttribute("aria-label", dark ? "Show the page light" : "Show the page dark");
}

const theme = document.getElementById("theme");
let dark = matchMedia("(prefers-color-scheme: dark)").matches;
theme.hidden = false;
theme.addEventListener("click", () => { dark = !dark; shown(dark); });
shown(dark);
root.style.colorScheme = "";  // until somebody asks, the page follows the system
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", event => {
  dark = event.matches;
  shown(dark);
  root.style.colorScheme = "";
});

function numberIn(cell) {
  const stored = cell.dataset.value;
  return stored !== undefined ? Number(stored) : Number.parseFloat(cell.textContent.replace("−", "-").replace(/,/g, ""));
}

function sort(table, column, up) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const values = new Map(rows.map(row => [row, numberIn(row.cells[column])]));
  const isText = column === 0;
  rows.sort((a, b) => {
    if (isText) {
      const order = a.cells[0].textContent.localeCompare(b.cells[0].textContent, undefined, {numeric: true});
      return up ? order : -order;
    }
    const [x, y] = [values.get(a), values.get(b)];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);  // undefined ones last
    return up ? x - y : y - x;
  });
  body.append(...rows);
}

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      const up = now ? now === "descending" : column === 0;
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      sort(table, column, up);
    });
  });
}

for (const button of document.querySelectorAll("button.copy")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const code = button.parentElement.querySelector("pre");
    let done = false;
    try {
      await navigator.clipboard.writeText(code.textContent);
      done = true;
    } catch {  // an old browser, or one that asks and was told no: select it, so that a key copies it
      getSelection().selectAllChildren(code);
      done = document.execCommand("copy");
    }
    button.textContent = done ? "Copied" : "Press Ctrl+C";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}
