// Keeps the performance page as it is now, and tells the values of the moment that is pointed at.

import { clock, milliseconds } from "./api.js";
import { page } from "./fragment.js";

const PACE = 10_000;
const NONE = "–";
const UNITS = {
  ms: milliseconds,
  bytes: (bytes) => (bytes >= 999.5e6 ? `${Number((bytes / 1e9).toPrecision(3))} GB` : `${Math.round(bytes / 1e6)} MB`),
  count: (count) => count.toLocaleString("en"),
};

const main = document.getElementById("main");
const slider = document.querySelector("#moment input");
let picked = null; // a moment, in milliseconds by the clock: so it moves along with the drawings

// The values of the moment, in the keys of the drawings

class Chart {
  constructor(element) {
    this.element = element;
    this.start = Number(element.dataset.start);
    this.width = Number(element.dataset.width);
    this.columns = JSON.parse(element.dataset.columns);
    this.count = this.columns[0].values.length;
    this.when = element.querySelector(".when");
    this.cursor = element.querySelector(".cursor");
    this.usual = new Map([this.when, ...element.querySelectorAll("[data-key]")].map((each) => [each, each.textContent]));
  }

  at(column) {
    return this.start + (column + 0.5) * this.width;
  }

  column(at) {
    const column = Math.floor((at - this.start) / this.width);
    return at !== null && column >= 0 && column < this.count ? column : null;
  }

  // What it says, as a sentence for who hears it.
  tell(at) {
    const column = this.column(at);
    this.cursor.setAttribute("x", column ?? -1);
    if (column === null) {
      for (const [element, words] of this.usual) element.textContent = words;
      return "";
    }
    const begin = this.start + column * this.width;
    const time = `${clock(begin)}–${clock(begin + this.width)}`;
    this.when.textContent = time;
    const said = this.columns.map(({ key, name, unit, values }) => {
      const words = values[column] === null ? NONE : UNITS[unit](values[column]);
      this.element.querySelector(`[data-key="${key}"]`).textContent = words;
      return values[column] === null ? "" : `${name} ${words}`;
    });
    return said.filter(Boolean).join(", ") || "nothing";
  }
}

let charts = [];

function read() {
  charts = [...main.querySelectorAll("[data-columns]")].map((element) => new Chart(element));
  slider.max = charts[0].count - 1; // a young camscribe's drawings grow
  if (picked === null) slider.value = slider.max;
}

function pick(at) {
  picked = at;
  const said = charts.map((chart) => chart.tell(at)).filter(Boolean);
  const column = charts[0].column(at);
  if (column === null) {
    slider.setAttribute("aria-valuetext", "none");
  } else {
    slider.value = column;
    slider.setAttribute("aria-valuetext", `${clock(charts[0].at(column))}: ${said.join(", ")}`);
  }
}

function point(event) {
  const plot = event.target.closest?.(".plot");
  if (!plot) return;
  const { left, width } = plot.getBoundingClientRect();
  const chart = charts.find(({ element }) => element.contains(plot));
  const column = Math.floor(((event.clientX - left) / width) * chart.count);
  pick(chart.at(Math.min(Math.max(column, 0), chart.count - 1)));
}

main.addEventListener("pointermove", point);
main.addEventListener("pointerdown", (event) => (event.target.closest(".plot, #moment") ? point(event) : pick(null)));
main.addEventListener("pointerout", (event) => {
  const plot = event.target.closest?.(".plot");
  if (plot && event.pointerType === "mouse" && !plot.contains(event.relatedTarget)) pick(null);
});
slider.addEventListener("input", () => pick(charts[0].at(Number(slider.value))));
slider.addEventListener("blur", () => pick(null));
document.addEventListener("keydown", (event) => event.key === "Escape" && pick(null));

// The page as it is now

async function renew() {
  const line = document.getElementById("lost");
  try {
    const fresh = await page(location.href);
    const found = new Map([...fresh.querySelectorAll("[data-live]")].map((each) => [each.dataset.live, each]));
    if (!found.size) return location.reload(); // another page came: the session has ended
    for (const old of main.querySelectorAll("[data-live]")) {
      const next = found.get(old.dataset.live);
      if (next && !holds(old)) old.replaceWith(document.adoptNode(next));
    }
    read();
    pick(picked);
    line.hidden = true;
    document.body.classList.remove("unconnected");
  } catch (error) {
    line.textContent = error instanceof TypeError ? "The connection is lost; trying again …" : error.message;
    line.hidden = false;
    document.body.classList.add("unconnected");
  }
}

// Whoever is in the middle of it is not to lose the place.
function holds(element) {
  return element.contains(document.activeElement);
}

let due = 0;

async function keep() {
  if (!document.hidden && Date.now() >= due) {
    await renew();
    due = Date.now() + PACE;
  }
  setTimeout(keep, document.hidden ? PACE : Math.max(due - Date.now(), 250));
}

read();
document.getElementById("moment").hidden = false;
document.getElementById("filter").addEventListener("change", (event) => event.currentTarget.requestSubmit());
due = Date.now() + PACE;
setTimeout(keep, PACE);
document.addEventListener("visibilitychange", () => document.hidden || Date.now() < due || renew().then(() => (due = Date.now() + PACE)));
