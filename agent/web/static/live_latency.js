// Where the time of an answer went, from the picture's grab to the words on the page; and how long answers take.

// The parts of it, in the order in which the time passes; those after the network are the server's own latency_ms.
export const PARTS = ["browser", "network", "capture", "queue", "encode", "image", "generate", "other"];

export const REAL_TIME = 1000;
export const MEDIAN_OF = 5;
const KEPT = 60;

export class Latencies {
  samples = [];

  // `at`, `encoded`, `answered` by performance.now(); `server`: the observation's latency_ms.
  add({ at, encoded, answered, server, captioner, wall }) {
    const { total: atServer, ...stages } = server;
    const parts = { browser: encoded - at, network: Math.max(0, answered - encoded - atServer), ...stages };
    const total = answered - at;
    this.samples = [...this.samples, { parts, total, captioner, wall }].slice(-KEPT);
    return total;
  }

  get last() {
    return this.samples.at(-1) ?? null;
  }

  // Those of the captioner that answered last.
  get ofLast() {
    return this.samples.filter((sample) => sample.captioner === this.last.captioner);
  }

  // Of the last five of one captioner; null until there are so many.
  get pace() {
    const lately = [];
    for (const sample of this.samples.toReversed()) {
      if (sample.captioner !== this.last.captioner || lately.length === MEDIAN_OF) break;
      lately.push(sample.total);
    }
    return lately.length === MEDIAN_OF ? median(lately) : null;
  }
}

export function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
