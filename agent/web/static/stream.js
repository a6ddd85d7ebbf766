// What happens at home, as it happens: EventSource, and what it leaves to be done.

import { api, root } from "./api.js";

const SAID_AFTER = 5000; // a connection that comes back sooner is nobody's business
const AGAIN_AFTER = 3000;
const HIDDEN_FOR = 30_000; // a browser has six connections to a host for all its tabs: one that nobody sees gives its own back

// listen({home, camera, observation, removed, gap}): each is called with the event's data. `gap`: load everything anew.
// `back`: called when there is a connection, the first and each after one was lost.
export function listen(handlers, { back } = {}) {
  let source = null;
  let lost = null;
  let again = null;
  let hidden = null;
  let missed = false; // more than EventSource makes up for by itself

  function open() {
    clearTimeout(again);
    source = new EventSource(`${root}/api/v1/stream`);
    source.onopen = () => {
      tell(false);
      back?.();
      if (missed) handlers.gap?.({});
      missed = false;
    };
    source.onerror = () => {
      tell(true);
      if (source?.readyState !== EventSource.CLOSED) return; // it tries again by itself
      close(); // an answer that was no stream: a proxy's error page, or camscribe is just starting
      retry();
    };
    for (const [name, handler] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => handler(JSON.parse(event.data)));
    }
  }

  // Asks for something small first: where the session has ended, that leads to the login.
  function retry() {
    again = setTimeout(() => api.get("/api/v1/home").then(() => source ?? open(), retry), AGAIN_AFTER);
  }

  function close() {
    clearTimeout(again);
    source?.close();
    source = null;
    missed = true;
  }

  function tell(gone) {
    const line = document.getElementById("lost");
    if (!gone) {
      clearTimeout(lost);
      lost = null;
      line.hidden = true;
      document.body.classList.remove("unconnected");
    } else if (lost === null) {
      lost = setTimeout(() => {
        line.textContent = "The connection is lost; trying again …";
        line.hidden = false;
        document.body.classList.add("unconnected");
      }, SAID_AFTER);
    }
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(hidden);
    if (document.hidden) hidden = setTimeout(() => (close(), tell(false)), HIDDEN_FOR);
    else if (source === null) open();
  });
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => event.persisted && source === null && open());
  open();
}
