// A camera's picture: the next one takes the place of the last when it is decoded, so that nothing flashes or jumps.

import { root } from "./api.js";

const SIZES = "auto, (max-width: 40rem) 100vw, 30rem";
const AHEAD = "300px"; // as far beyond the window a picture is loaded

const watch = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) pictures.get(target)?.inSight(isIntersecting);
  },
  { rootMargin: AHEAD },
);
const pictures = new WeakMap();

export class Picture {
  constructor(link, alt) {
    this.link = link;
    this.alt = alt;
    this.next = null; // the newest that is not shown yet: those between are nobody's loss
    this.loading = false;
    this.visible = false;
    pictures.set(link, this);
    watch.observe(link);
  }

  show(observation) {
    this.link.href = `${root}/observations/${observation.id}`;
    this.next = observation;
    this.load();
  }

  inSight(visible) {
    this.visible = visible;
    this.load();
  }

  async load() {
    if (!this.visible || this.loading || !this.next) return;
    const { id, picture } = this.next;
    this.next = null;
    if (!picture?.path) return this.replace("No picture");
    this.loading = true;
    const image = new Image(picture.width, picture.height);
    const path = `${root}/api/v1/observations/${id}`;
    image.decoding = "async";
    image.alt = this.alt();
    image.sizes = this.link.clientWidth ? `${this.link.clientWidth}px` : SIZES;
    image.srcset = `${path}/thumbnail 320w, ${path}/picture ${picture.width}w`;
    image.src = `${path}/picture`;
    try {
      await image.decode();
      this.link.replaceChildren(image);
    } catch {
      if (!this.link.querySelector("img")) this.replace("The picture is gone"); // retention took it
    } finally {
      this.loading = false;
      this.load();
    }
  }

  replace(words) {
    const none = document.createElement("span");
    none.className = "none";
    none.textContent = words;
    this.link.replaceChildren(none);
  }
}
