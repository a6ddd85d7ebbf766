// The timeline: what is new comes in above, what is older below, each as the server makes it; and deleting.

import { api, say } from "./api.js";
import { ask } from "./dialog.js";
import { page } from "./fragment.js";
import { listen } from "./stream.js";

const PACE = 1500; // ms between two askings for what is new
const AT_TOP = 200; // px: so near to the top one sees the new ones come

const list = document.getElementById("seen");
const more = document.getElementById("more");
const news = document.getElementById("news");
const whole = document.getElementById("delete-all"); // deletes all that is found
const byId = (id) => list.querySelector(`[data-id="${CSS.escape(id)}"]`);
const items = (within) => [...within.querySelectorAll(".seen")];

function take(item) {
  item.querySelector(".delete").hidden = false;
  return item;
}

// Those of an hour that are not on this page yet: the others are taken out of it.
function unknown(hour) {
  for (const item of items(hour)) if (byId(item.dataset.id)) item.remove();
  return items(hour);
}

// Older ones

let loading = false;
async function older() {
  if (loading || more.hidden) return;
  loading = true;
  more.setAttribute("aria-busy", "true");
  try {
    const next = await page(more.href);
    for (const hour of next.querySelectorAll(".hour")) {
      unknown(hour).forEach(take);
      const last = list.lastElementChild;
      if (last?.dataset.hour === hour.dataset.hour) last.querySelector("ol").append(...items(hour));
      else if (items(hour).length) list.append(hour);
    }
    const link = next.getElementById("more");
    more.href = link.href;
    more.hidden = link.hidden;
  } catch (error) {
    more.textContent = `${error.message} Again`;
  } finally {
    loading = false;
    more.removeAttribute("aria-busy");
  }
}

more.addEventListener("click", (event) => {
  event.preventDefault();
  older();
});
new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && older(), { rootMargin: "600px" }).observe(more);

// New ones: the server knows which of them belong here

let waiting = []; // hours with what came while one was reading further down
let asking = false;
let again = false;

async function newer() {
  if (asking) return (again = true);
  asking = true;
  again = false;
  try {
    const first = await page(location.href);
    waiting = [...first.querySelectorAll(".hour")].filter((hour) => unknown(hour).length > 0);
    retell(first);
    if (scrollY < AT_TOP) show();
    else offer();
  } catch {
    // the line about the connection tells it
  } finally {
    setTimeout(() => {
      asking = false;
      if (again) newer();
    }, PACE);
  }
}

// What the page says of all that is found, as the server says it now.
function retell(fresh) {
  for (const id of ["found", "days"]) {
    const ours = document.getElementById(id);
    if (ours.contains(document.activeElement)) continue;
    // Copies: a chosen option that leaves its own list for ours would leave another one chosen.
    ours.replaceChildren(...[...fresh.getElementById(id).childNodes].map((node) => document.importNode(node, true)));
  }
  const [ours, theirs] = [document.getElementById("nothing"), fresh.getElementById("nothing")];
  if (theirs && !ours) list.after(document.importNode(theirs, true));
  if (!theirs && waiting.length === 0) ours?.remove();
  whole.hidden = theirs !== null;
}

function offer() {
  const count = waiting.reduce((sum, hour) => sum + items(hour).length, 0);
  news.textContent = `${count} new`;
  news.hidden = count === 0;
}

function show() {
  if (waiting.length) document.getElementById("nothing")?.remove();
  for (const hour of waiting.reverse()) {
    const known = list.querySelector(`[data-hour="${hour.dataset.hour}"]`);
    const fresh = items(hour).map(take);
    if (known) known.querySelector("ol").prepend(...fresh);
    else list.prepend(hour);
    for (const item of fresh) item.classList.add("new");
  }
  waiting = [];
  news.hidden = true;
}

news.addEventListener("click", () => {
  show();
  scrollTo({ top: 0, behavior: "smooth" });
  list.querySelector("a[href]:not([tabindex])")?.focus({ preventScroll: true });
});
if (list.dataset.live) listen({ observation: newer, gap: newer });

// Deleting

const said = (count) => (count === 1 ? "1 observation" : `${count.toLocaleString("en")} observations`);

function forget(item) {
  const hour = item.closest(".hour");
  item.remove();
  if (items(hour).length === 0) hour.remove();
}

list.addEventListener("click", async (event) => {
  const button = event.target.closest(".delete");
  if (!button) return;
  const item = button.closest(".seen");
  const what = item.querySelector(".words a").textContent;
  const done = await ask("Delete this observation?", `${what}, with its picture. It can't be brought back.`, () =>
    api.send("DELETE", `/api/v1/observations/${item.dataset.id}`).catch((error) => {
      if (error.status !== 404) throw error; // somebody else was quicker
    }),
  );
  if (!done) return;
  const all = items(list);
  const next = all[all.indexOf(item) + 1] ?? all[all.indexOf(item) - 1];
  forget(item);
  (next?.querySelector(".delete") ?? document.getElementById("main")).focus();
  say("Deleted.");
  page(location.href).then(retell, () => {}); // the connection is lost, and the line about it says so
});

whole.addEventListener("click", async () => {
  // Up to now: what is seen while one thinks about it is not meant.
  const query = new URLSearchParams(list.dataset.api);
  const now = new Date().toISOString();
  if (!query.has("to") || Date.parse(query.get("to")) > Date.now()) query.set("to", now);
  let count;
  try {
    const { days } = await api.get(`/api/v1/days?${query}`);
    count = days.reduce((sum, day) => sum + day.count, 0);
  } catch (error) {
    return say(error.message);
  }
  const words = `All that this view finds, with their pictures, also those further down. They can't be brought back.`;
  const done = await ask(`Delete ${said(count)}?`, words, () => api.send("DELETE", `/api/v1/observations?${query}`));
  if (done) location.replace(location.pathname + location.search); // not reloaded: that would keep what stands in the fields
});

// Filters act at once

const form = document.querySelector(".filters");
form.addEventListener("change", ({ target }) => target.matches("select") && form.requestSubmit());
form.addEventListener("formdata", ({ formData }) => { // an address without what says nothing
  for (const [name, value] of [...formData]) if (value === "") formData.delete(name);
});
const menu = form.querySelector(".menu");
document.addEventListener("click", (event) => menu.contains(event.target) || (menu.open = false));
menu.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

for (const item of items(list)) item.querySelector(".delete").hidden = false;
whole.hidden = items(list).length === 0;
