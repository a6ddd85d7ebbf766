// How long answers take: the badge on the picture, the chart, and the table that is its key and says the same in figures.

import { clock, milliseconds, say, text } from "./api.js";
import { Chart } from "./live_chart.js";
import { Latencies, MEDIAN_OF, PARTS, REAL_TIME, median } from "./live_latency.js";

const $ = (id) => document.getElementById(id);

export class Speed {
  #latencies = new Latencies();
  #chart = new Chart($("chart"), (sample, byKey) => {
    this.#showParts();
    if (sample && byKey) say(`${clock(sample.wall)}: ${milliseconds(sample.total)}`);
  });

  constructor() {
    $("pace").title = `The median of the last ${MEDIAN_OF} answers, from the picture to the words on this page`;
  }

  // Gives the milliseconds from the picture to the words.
  add(answer) {
    const total = this.#latencies.add(answer);
    this.#show();
    return total;
  }

  // `waits`: ms that the question under way has waited; Infinity where it is in trouble. That is no real time either.
  showBadge(running, waits) {
    const { pace } = this.#latencies;
    const real = pace < REAL_TIME;
    $("pace").hidden = !running || pace === null || (real && waits > REAL_TIME);
    if (pace === null) return;
    $("pace").classList.toggle("good", real);
    text($("pace-words"), real ? "real time" : "a caption takes");
    text($("pace-figure"), milliseconds(pace));
  }

  #show() {
    $("speed").classList.add("known");
    this.#chart.show(this.#latencies.samples);
    const mine = this.#latencies.ofLast;
    for (const name of PARTS) text($(`median-${name}`), milliseconds(median(mine.map(({ parts }) => parts[name]))));
    text($("median-total"), milliseconds(median(mine.map(({ total }) => total))));
    this.#showParts();
  }

  // Of the answer that is pointed at in the chart; else of the last.
  #showParts() {
    const { chosen } = this.#chart;
    const { parts, total, wall } = chosen ?? this.#latencies.last;
    text($("which"), chosen ? clock(wall) : "last");
    for (const name of PARTS) text($(`last-${name}`), milliseconds(parts[name]));
    text($("last-total"), milliseconds(total));
  }
}
