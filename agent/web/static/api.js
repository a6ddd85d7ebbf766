// What every page needs: the API behind whatever path it stands, times that tick, and a voice for screen readers.

const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? "";

export const root = meta("root");
const zone = meta("zone"); // the machine's, by which its days begin

export class ApiError extends Error {
  constructor(status, message, retryAfter = null) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter; // seconds, where the answer says so
  }
}

async function send(method, path, body, { signal } = {}) {
  let response;
  try {
    response = await fetch(root + path, {
      method,
      signal,
      credentials: "same-origin",
      headers: { Accept: "application/json", ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "camscribe can't be reached. Is it running?");
  }
  if (response.status === 401) { // the session has ended: this page is of no more use without
    const here = location.pathname.slice(root.length) + location.search;
    location.assign(`${root}/login?next=${encodeURIComponent(here)}`);
  }
  const json = /[/+]json\b/.test(response.headers.get("Content-Type") ?? "");
  const said = json ? await response.json().catch(() => null) : null;
  if (!response.ok) {
    const retryAfter = Number.parseFloat(response.headers.get("Retry-After"));
    throw new ApiError(response.status, said?.detail ?? `That did not work (${response.status}).`, Number.isFinite(retryAfter) ? retryAfter : null);
  }
  return said;
}

// Both give the JSON, or throw an ApiError whose message is a sentence for people.
export const api = { get: (path, options) => send("GET", path, undefined, options), send };

// Times. The machine's clock and this browser's may differ by minutes: ages are told by the machine's.

const [navigation] = performance.getEntriesByType("navigation");
const arrived = Date.now() - performance.now() + (navigation?.responseStart ?? 0);
const ahead = meta("now") ? Date.parse(meta("now")) - arrived : 0;

export const now = () => Date.now() + ahead;

// "0.8 s", "12 s", "3 min 5 s", "1 h 2 min", "3 d 4 h": as agent/status.py has it.
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  for (const [size, unit, smaller, smallerUnit] of [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]]) {
    if (whole >= size) {
      const rest = Math.floor((whole % size) / smaller);
      return `${Math.floor(whole / size)} ${unit}${rest ? ` ${rest} ${smallerUnit}` : ""}`;
    }
  }
  return `${whole} s`;
}

// "770 ms", "1.24 s", "35.7 s": as agent/web/words.py has it.
export function milliseconds(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 10_000 ? `${(ms / 1000).toFixed(2)} s` : ms < 100_000 ? `${(ms / 1000).toFixed(1)} s` : duration(ms / 1000);
}

const hours = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZone: zone || undefined });

// "18:04:05", of a Date or of its milliseconds.
export const clock = (time) => hours.format(time);

// "just now", "12 s ago", "3 min ago", "2 h ago", "4 d ago".
export function ago(time) {
  const seconds = Math.floor((now() - Date.parse(time)) / 1000);
  if (seconds < 1) return "just now";
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit} ago`;
  }
  return `${seconds} s ago`;
}

// Every <time datetime=… data-age> ticks by itself.
export function tick(within = document) {
  for (const element of within.querySelectorAll("time[data-age]")) {
    const words = element.dateTime ? ago(element.dateTime) : "";
    if (element.textContent !== words) element.textContent = words;
  }
}

tick();
setInterval(() => document.hidden || tick(), 1000);
document.addEventListener("visibilitychange", () => document.hidden || tick());

// Said to screen readers when they have nothing else to say. The same twice is said twice.
export function say(words) {
  const place = document.getElementById("said");
  place.textContent = "";
  requestAnimationFrame(() => (place.textContent = words));
}

// Set only what is different: a text that is set anew costs a layout, and takes a selection away.
export function text(element, words) {
  if (element && element.textContent !== words) element.textContent = words;
}
