// The last answers as stacked bars, drawn as SVG: one path a stage.

import { PARTS, REAL_TIME } from "./live_latency.js";

const SVG = "http://www.w3.org/2000/svg";
const SLOTS = 60;
const [HEIGHT, TOP, FOOT, LEFT] = [180, 10, 20, 44];
const CLIPPED_FROM = 3; // times the height of most

export class Chart {
  #box;
  #svg;
  #chosenIs;
  #samples = [];
  #chosen = null;
  #width = 0;

  // Draws into `box`; `chosen(sample or null, by the keyboard?)`: the pointer or the arrow keys are at another one.
  constructor(box, chosen) {
    this.#chosenIs = chosen;
    this.#box = box;
    this.#svg = make("svg", { "aria-hidden": "true", height: HEIGHT });
    box.append(this.#svg);
    new ResizeObserver(() => this.#resized()).observe(box);
    box.addEventListener("pointermove", (event) => this.#point(event.clientX));
    box.addEventListener("pointerdown", (event) => this.#point(event.clientX));
    box.addEventListener("pointerleave", () => this.#choose(null));
    box.addEventListener("blur", () => this.#choose(null));
    box.addEventListener("keydown", (event) => this.#key(event));
  }

  get chosen() {
    return this.#chosen;
  }

  show(samples) {
    if (this.#chosen !== null && !samples.includes(this.#chosen)) this.#choose(null);
    this.#samples = samples;
    this.#draw();
  }

  #resized() {
    const width = Math.floor(this.#box.clientWidth);
    if (width === this.#width) return;
    this.#width = width;
    this.#draw();
  }

  #draw() {
    if (this.#width < 60) return;
    const highest = topOf(this.#samples.map((sample) => sample.total));
    const y = (value) => HEIGHT - FOOT - (value / highest) * (HEIGHT - FOOT - TOP);
    this.#svg.setAttribute("viewBox", `0 0 ${this.#width} ${HEIGHT}`);
    this.#svg.setAttribute("width", this.#width);
    this.#svg.replaceChildren(...this.#axis(highest, y), ...this.#bars(highest, y), ...this.#marks(highest, y));
  }

  #axis(highest, y) {
    const parts = [];
    for (const value of ticks(highest)) {
      const at = Math.round(y(value)) + 0.5;
      parts.push(
        make("line", { class: "tick", x1: LEFT, x2: this.#width, y1: at, y2: at }),
        make("text", { x: LEFT - 6, y: at + 4, "text-anchor": "end" }, axisText(value, highest)),
      );
    }
    const ago = make("text", { x: LEFT, y: HEIGHT - 4 }, `${SLOTS} answers ago`);
    const now = make("text", { x: this.#width, y: HEIGHT - 4, "text-anchor": "end" }, "the last");
    return [...parts, ago, now];
  }

  #bars(highest, y) {
    const paths = new Map(PARTS.map((name) => [name, ""]));
    this.#samples.forEach((sample, index) => {
      const [left, wide] = [this.#left(index), this.#slot() * 0.78];
      let below = 0;
      for (const name of PARTS) {
        const above = Math.min(below + sample.parts[name], highest);
        if (above > below) paths.set(name, paths.get(name) + box(left, y(above), wide, y(below) - y(above)));
        below = above;
      }
    });
    return PARTS.map((name) => make("path", { class: `part-${name}`, d: paths.get(name) }));
  }

  #marks(highest, y) {
    const parts = [];
    const line = Math.round(y(REAL_TIME)) + 0.5;
    if (REAL_TIME <= highest) {
      parts.push(make("line", { class: "real-time", x1: LEFT, x2: this.#width, y1: line, y2: line }));
    }
    this.#samples.forEach((sample, index) => {
      const left = this.#left(index);
      const before = this.#samples[index - 1];
      if (before && before.captioner !== sample.captioner) {
        const at = left - this.#slot() * 0.11;
        parts.push(make("line", { class: "switch", x1: at, x2: at, y1: TOP, y2: HEIGHT - FOOT }));
      }
      if (sample.total > highest) {
        const middle = left + this.#slot() * 0.39;
        parts.push(make("path", { class: "beyond", d: `M${middle - 4} ${TOP - 2}l4 -6l4 6z` }));
      }
      if (sample === this.#chosen) {
        const frame = { x: left - 1, y: TOP, width: this.#slot() * 0.78 + 2, height: HEIGHT - FOOT - TOP };
        parts.push(make("rect", { class: "chosen", ...frame }));
      }
    });
    return parts;
  }

  #slot() {
    return (this.#width - LEFT) / SLOTS;
  }

  #left(index) {
    return LEFT + (SLOTS - this.#samples.length + index) * this.#slot();
  }

  #point(clientX) {
    const x = clientX - this.#box.getBoundingClientRect().left;
    const index = Math.floor((x - LEFT) / this.#slot()) - (SLOTS - this.#samples.length);
    this.#choose(this.#samples[index] ?? null);
  }

  #key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || !this.#samples.length) return;
    event.preventDefault();
    const at = this.#chosen ? this.#samples.indexOf(this.#chosen) + step : this.#samples.length - 1;
    this.#choose(this.#samples[Math.max(0, Math.min(at, this.#samples.length - 1))], true);
  }

  #choose(sample, byKey = false) {
    if (sample === this.#chosen) return;
    this.#chosen = sample;
    this.#draw();
    this.#chosenIs(sample, byKey);
  }
}

// The axis' end: above all, unless a few stand so far out that the rest would be flat.
function topOf(totals) {
  if (!totals.length) return REAL_TIME;
  const sorted = totals.toSorted((a, b) => a - b);
  const most = sorted[Math.floor((sorted.length - 1) * 0.9)];
  return nice(Math.min(sorted.at(-1), most * CLIPPED_FROM) * 1.04);
}

function nice(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 20)));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((step) => step >= value);
}

function ticks(highest) {
  const power = 10 ** Math.floor(Math.log10(highest));
  const step = [0.2, 0.25, 0.5, 1, 2, 2.5].map((part) => part * power).find((part) => highest / part <= 4.01);
  return Array.from({ length: Math.floor(highest / step + 0.001) + 1 }, (_, index) => index * step);
}

function axisText(value, highest) {
  if (value === 0) return "0";
  return highest < 1000 ? `${Math.round(value)} ms` : `${Number((value / 1000).toFixed(2))} s`;
}

function box(x, y, width, height) {
  return `M${x.toFixed(2)} ${y.toFixed(2)}h${width.toFixed(2)}v${height.toFixed(2)}h${(-width).toFixed(2)}z`;
}

function make(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}
