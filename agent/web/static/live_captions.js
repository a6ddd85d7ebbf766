// What was said, each caption with the very picture that it is about: the last one large, those before it in a list.

import { clock, milliseconds, text } from "./api.js";

const KEPT = 20;
const LONG = 140; // characters, from which on they are set smaller
const OLD_AFTER = 10_000;

export class Captions {
  #now;
  #list;
  #template;
  #entries = []; // newest first; the same words again and again are one
  #last = null;

  // `now`: the elements of the last caption by name; `list` and `template`: those before.
  constructor(now, list, template) {
    this.#now = now;
    this.#list = list;
    this.#template = template;
    setInterval(() => document.hidden || this.tick(), 1000);
  }

  get last() {
    return this.#last?.caption ?? null;
  }

  add({ caption, picture, about, total }) {
    const shown = { caption, picture, url: URL.createObjectURL(picture.blob) };
    this.#show(shown, about);
    const newest = this.#entries[0];
    if (newest?.caption === caption) {
      newest.times++;
    } else {
      this.#entries.unshift({ ...shown, total, times: 1, row: this.#row(shown, total) });
      this.#list.prepend(this.#entries[0].row);
      const dropped = this.#entries.splice(KEPT);
      for (const { row: gone, url } of dropped) {
        gone.remove();
        URL.revokeObjectURL(url);
      }
    }
    const { row, times } = this.#entries[0];
    text(row.querySelector("[data-times]"), times > 1 ? `${times} times in a row` : "");
  }

  tick() {
    if (!this.#last) return;
    const age = performance.now() - this.#last.picture.at;
    const seconds = Math.round(age / 1000);
    text(this.#now.age, age < 1000 ? "just now" : seconds < 120 ? `${seconds} s ago` : `at ${clock(this.#last.picture.wall)}`);
    this.#now.card.classList.toggle("old", age > OLD_AFTER);
  }

  #show(shown, about) {
    const { card, caption, thumbnail, meta } = this.#now;
    card.classList.remove("waiting");
    card.classList.toggle("long", shown.caption.length > LONG);
    text(caption, shown.caption);
    thumbnail.src = shown.url;
    text(meta, about);
    const before = this.#last;
    this.#last = shown;
    if (before && !this.#entries.some(({ url }) => url === before.url)) URL.revokeObjectURL(before.url);
    this.tick();
  }

  #row({ caption, picture, url }, total) {
    const row = this.#template.content.firstElementChild.cloneNode(true);
    row.querySelector("img").src = url;
    row.querySelector("[data-caption]").textContent = caption;
    const time = row.querySelector("time");
    time.dateTime = picture.wall.toISOString();
    time.textContent = clock(picture.wall);
    row.querySelector("[data-total]").textContent = milliseconds(total);
    return row;
  }
}
