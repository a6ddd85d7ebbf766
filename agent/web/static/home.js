// The home page: a card a camera, kept as things are. Only what has changed is touched, once a frame of the screen.

import { ago, api, milliseconds, root, say, text } from "./api.js";
import { page } from "./fragment.js";
import { Picture } from "./picture.js";
import { listen } from "./stream.js";
import { answerWords, engineState, percent, questionName, stateOf } from "./words.js";

const RECHECK = 1000; // ms after something was set
const LATE = 1000; // ms after which the button tells how long the look has taken so far

let paused = document.getElementById("paused").hidden === false;
const cards = new Map(); // by camera
const due = new Set(); // cards that are to be drawn
let drawing = false;

function draw(card) {
  due.add(card);
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    for (const one of due) one.draw();
    due.clear();
  });
}

class Card {
  constructor(element) {
    this.element = element;
    this.id = element.dataset.camera;
    this.camera = null; // as it was told last
    this.failure = null; // the words about what somebody did here in vain
    this.last = null; // its last good look, where that came after the page
    this.picture = new Picture(element.querySelector(".picture"), () => `${this.name}, the last picture`);
    const find = (selector) => element.querySelector(selector);
    this.parts = Object.fromEntries(
      ["area", "caption", "answers", "latency", "state", "problem", "answer"].map((name) => [name, find(`.${name}`)]),
    );
    this.parts.time = find(".when time");
    this.title = find("h2 a");
    this.form = find("form");
    this.button = find("form button");
    this.field = find("form input");
    this.switch = find(".switch input");
    for (const control of [this.button, this.field, this.switch]) control.disabled = false;
    this.form.addEventListener("submit", (event) => (event.preventDefault(), this.look()));
    this.field.addEventListener("input", () => this.label());
    this.switch.addEventListener("change", () => this.turn());
    this.label();
  }

  get name() {
    return this.title.textContent;
  }

  tell(camera) {
    this.camera = camera;
    if (camera.last !== undefined) this.last = camera.last ?? this.last;
    draw(this);
  }

  seen(observation) {
    if (this.last && this.last.taken_at > observation.taken_at) return;
    this.last = observation;
    this.forgive();
    draw(this);
  }

  draw() {
    if (this.camera) this.drawState();
    if (this.last) this.drawLast(this.last);
  }

  drawState() {
    const { camera, parts } = this;
    const [kind, words] = stateOf(camera, paused);
    this.element.dataset.state = kind;
    parts.state.className = `state ${kind}`;
    text(parts.state, words);
    text(this.title, camera.name);
    text(parts.area, camera.area ?? "");
    text(parts.problem, camera.problem ?? "");
    const said = this.failure?.textContent === camera.problem; // below, where somebody has just asked
    parts.problem.hidden = !camera.problem || !camera.enabled || said;
    if (!this.turning) this.switch.checked = camera.enabled;
  }

  drawLast(last) {
    const { parts } = this;
    if (this.drawn === last.id) return;
    this.drawn = last.id;
    text(parts.caption, last.caption);
    parts.answers.replaceChildren(...badges(last.answers, this.camera?.questions ?? {}));
    parts.time.dateTime = last.finished_at;
    text(parts.time, ago(last.finished_at));
    text(parts.latency, milliseconds(last.latency_ms.total));
    this.picture.show(last);
  }

  label() {
    if (!this.looking) this.button.textContent = this.field.value.trim() ? "Ask" : "Look now";
  }

  async look() {
    if (this.looking) return;
    const prompt = this.field.value.trim();
    this.looking = true;
    this.forgive();
    this.parts.answer.replaceChildren();
    this.busy(true);
    const began = performance.now();
    const count = setInterval(() => {
      const spent = performance.now() - began;
      if (spent > LATE) this.button.textContent = `${Math.floor(spent / 1000)} s …`;
    }, 250);
    this.button.textContent = prompt ? "Asking …" : "Looking …";
    try {
      this.answered(await api.send("POST", `/api/v1/cameras/${this.id}/look`, prompt ? { prompt } : {}), prompt);
    } catch (error) {
      this.failed(error);
    } finally {
      clearInterval(count);
      this.looking = false;
      this.busy(false);
      this.label();
    }
  }

  busy(is) {
    this.button.setAttribute("aria-busy", is);
    this.button.setAttribute("aria-disabled", is); // not disabled: that would throw the focus away
  }

  answered(observation, prompt) {
    if (observation.error) return this.failed(observation.error);
    if (!prompt) {
      this.seen(observation);
      return say(`${this.name}: ${observation.caption}`);
    }
    this.field.value = "";
    const asked = element("p", "soft small", prompt);
    const said = element("p", "", observation.caption);
    const link = element("a", "small", `${milliseconds(observation.latency_ms.total)}, see what it saw`);
    asked.dir = said.dir = "auto";
    link.href = `${root}/observations/${observation.id}`;
    const words = element("div", "", "");
    words.append(asked, said, link);
    this.parts.answer.replaceChildren(frame(observation, words));
    bringIntoView(this.parts.answer, this.form);
  }

  // What was asked before stays: it is no less true.
  failed({ message, status }) {
    this.forgive();
    this.failure = element("p", "notice bad small", message);
    this.failure.dir = "auto";
    this.unreached = status === 0; // not the camera, but camscribe
    this.parts.answer.prepend(this.failure);
    draw(this);
  }

  forgive() {
    if (!this.failure) return;
    this.failure.remove();
    this.failure = null;
    draw(this);
  }

  connected() {
    if (this.unreached) this.forgive();
  }

  async turn() {
    const enabled = this.switch.checked;
    this.turning = true;
    this.switch.setAttribute("aria-busy", "true");
    try {
      this.tell(await api.send("PATCH", `/api/v1/cameras/${this.id}`, { enabled }));
      this.forgive();
    } catch (error) {
      this.switch.checked = !enabled;
      this.failed(error);
    } finally {
      this.turning = false;
      this.switch.removeAttribute("aria-busy");
      if (this.camera) draw(this);
      recheck();
    }
  }
}

function element(name, className, words) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.textContent = words;
  return made;
}

// An answer is about a frame of its own, not about the picture above.
function frame({ id, picture }, words) {
  const whole = element("div", "asked", "");
  if (picture?.path) {
    const image = new Image(picture.width, picture.height); // its place is kept until it comes
    image.alt = "The picture that was asked about";
    image.src = `${root}/api/v1/observations/${id}/thumbnail`;
    whole.append(image);
  }
  whole.append(words);
  return whole;
}

const still = matchMedia("(prefers-reduced-motion: reduce)");

// Not where somebody has gone on to something else meanwhile.
function bringIntoView(element, within) {
  const { top, bottom } = within.getBoundingClientRect();
  if (bottom < 0 || top > innerHeight) return;
  element.scrollIntoView({ block: "nearest", behavior: still.matches ? "instant" : "smooth" });
}

function badges(answers, questions) {
  return Object.entries(answers).map(([name, answer]) => {
    const badge = element("li", answer.value === true ? "badge yes" : "badge", `${questionName(name, questions[name])} `);
    badge.dir = "auto";
    badge.append(element("b", "", answerWords(answer.value, questions[name])));
    if (answer.confidence !== null) badge.append(" ", element("small", "", percent(answer.confidence)));
    return badge;
  });
}

// The bar at the top

const bar = document.querySelector(".bar");
const pause = bar.querySelector(".switch input");

function tellHome(home) {
  const [kind, words] = engineState(home.engine);
  const engine = document.getElementById("engine");
  engine.className = `state ${kind}`;
  text(engine, words);
  text(document.getElementById("model"), home.model || "–");
  text(document.getElementById("rate"), String(home.captions_per_minute));
  text(document.getElementById("queued"), String(home.queued));
  if (pause && !pause.hasAttribute("aria-busy")) pause.checked = home.paused;
  if (home.paused === paused) return;
  paused = home.paused;
  document.getElementById("paused").hidden = !paused;
  for (const card of cards.values()) draw(card);
}

async function pauseAll() {
  const wanted = pause.checked;
  pause.setAttribute("aria-busy", "true");
  try {
    const home = await api.send("PATCH", "/api/v1/home", { paused: wanted });
    pause.removeAttribute("aria-busy");
    tellHome(home);
    say(wanted ? "All cameras are paused." : "The cameras look again.");
  } catch (error) {
    pause.removeAttribute("aria-busy");
    pause.checked = !wanted;
    say(error.message);
    const notice = document.getElementById("trouble") ?? document.getElementById("paused").insertAdjacentElement("afterend", element("p", "notice bad", ""));
    notice.id = "trouble";
    text(notice, error.message);
    setTimeout(() => notice.remove(), 10_000);
  }
  recheck();
}

// The stream tells what has changed since it told last. What was set and set back between was never told, so this page,
// which knows the first from the answer to its own request, has to ask.
let checking = null;
function recheck() {
  clearTimeout(checking);
  checking = setTimeout(anew, RECHECK);
}

// What comes in

function tellCamera(camera) {
  const card = cards.get(camera.id);
  if (card) card.tell(camera);
  else meet();
}

// A camera that was not there when the page was made: its card is in the page as it would be made now.
let meeting = false;
async function meet() {
  if (meeting) return;
  meeting = true;
  try {
    const fresh = await page(`${root}/`);
    const grid = document.querySelector(".cameras");
    const theirs = fresh.querySelector(".cameras");
    if (!grid || !theirs) return location.reload(); // the first camera of all, or the last has gone
    grid.className = theirs.className;
    let before = null;
    for (const card of [...theirs.children]) {
      const known = cards.get(card.dataset.camera)?.element;
      if (!known) {
        grid.insertBefore(document.adoptNode(card), before ? before.nextSibling : grid.firstChild);
        cards.set(card.dataset.camera, new Card(card));
      }
      before = known ?? card;
    }
  } catch {
    // the connection is lost: with the next one everything is told anew
  } finally {
    meeting = false;
  }
}

function removed({ camera }) {
  cards.get(camera)?.element.remove();
  cards.delete(camera);
  if (cards.size === 0) location.reload();
}

async function anew() {
  try {
    const [home, { cameras }] = await Promise.all([api.get("/api/v1/home"), api.get("/api/v1/cameras")]);
    const there = new Set(cameras.map((camera) => camera.id));
    for (const id of [...cards.keys()].filter((known) => !there.has(known))) removed({ camera: id });
    tellHome(home);
    cameras.forEach(tellCamera);
  } catch {
    // told by the line about the connection
  }
}

for (const card of document.querySelectorAll(".camera")) cards.set(card.dataset.camera, new Card(card));
if (pause) {
  pause.disabled = false;
  pause.addEventListener("change", pauseAll);
}
listen(
  {
    home: tellHome,
    camera: tellCamera,
    observation: (observation) => {
      if (observation.caption !== null && !observation.ad_hoc) cards.get(observation.camera)?.seen(observation);
    },
    removed,
    gap: anew,
  },
  { back: () => cards.forEach((card) => card.connected()) },
);
