// The captioners that config.yaml has, to choose from: each with its model, and what it is doing.

import { api, text } from "./api.js";

const NAMES = { llama_server: "llama.cpp", transformers: "Transformers", openai: "OpenAI-compatible" };
const STATES = [
  [/^ready$/, "ready", "ready"],
  [/^ready/, "ready", "a fallback answers"],
  [/^starting/, "starting", "loading the model"],
  [/^failed/, "failed", "failed"],
];

export class Backends {
  #list;
  #changed;
  #rows = new Map();
  chosen = null;

  // Fills the fieldset's `list` with radio buttons. `changed(name)`: another one was chosen by hand.
  constructor(list, changed) {
    this.#list = list;
    this.#changed = changed;
  }

  get known() {
    return this.#rows.size > 0;
  }

  // The chosen one as the API tells it; null before it has.
  get current() {
    return this.#rows.get(this.chosen)?.backend ?? null;
  }

  // As people know it: `llama.cpp`; nothing for one that isn't there any more.
  nameOf(captioner) {
    const row = this.#rows.get(captioner);
    return row ? titleOf(row.backend) : "";
  }

  // `preferred`: the one that was chosen last time.
  async load(preferred) {
    const { captioners } = await api.get("/api/v1/captioners");
    const names = captioners.map(({ name }) => name);
    if (!names.includes(this.chosen)) {
      const running = captioners.find((one) => one.running) ?? captioners[0];
      this.chosen = names.includes(preferred) ? preferred : (running?.name ?? null);
    }
    if (names.join("\n") !== [...this.#rows.keys()].join("\n")) this.#build(captioners);
    for (const one of captioners) this.#tell(one);
  }

  #build(captioners) {
    this.#rows.clear();
    const titles = captioners.map(titleOf);
    const several = (title) => titles.indexOf(title) !== titles.lastIndexOf(title);
    this.#list.replaceChildren(...captioners.map((one) => this.#row(one, several(titleOf(one)))));
  }

  #row(backend, named) {
    const row = element("label", "backend");
    const input = element("input");
    Object.assign(input, { type: "radio", name: "backend", value: backend.name, checked: backend.name === this.chosen });
    input.addEventListener("change", () => {
      this.chosen = backend.name;
      this.#changed(backend.name);
    });
    const [words, title, model, state] = [element("span", "words"), element("b"), element("small"), element("small", "state")];
    title.textContent = named ? `${titleOf(backend)}, ${backend.name}` : titleOf(backend);
    words.append(title, model);
    row.append(input, words, state);
    this.#rows.set(backend.name, { backend, model, state });
    return row;
  }

  #tell(backend) {
    const row = this.#rows.get(backend.name);
    row.backend = backend;
    const [kind, words] = stateOf(backend);
    row.state.className = `state ${kind}`;
    text(row.state, words);
    row.state.title = detailOf(backend);
    text(row.model, backend.model || "model not known yet");
  }
}

export function titleOf(backend) {
  return NAMES[backend.use] ?? backend.use;
}

// It answers in a moment.
export function isReady(backend) {
  return backend.running && backend.state.startsWith("ready");
}

export function isLoading(backend) {
  return !backend.running || backend.state.startsWith("starting");
}

// What is behind the colon: `starting: downloading …`, `failed: …`.
export function detailOf(backend) {
  return backend.running && backend.state.includes(": ") ? backend.state.slice(backend.state.indexOf(": ") + 2) : "";
}

function stateOf(backend) {
  if (!backend.running) return ["asleep", "starts when asked"];
  const found = STATES.find(([pattern]) => pattern.test(backend.state));
  return found ? found.slice(1) : ["starting", backend.state.slice(0, 60)];
}

function element(name, className = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  return made;
}
