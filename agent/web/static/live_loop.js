// One picture after the other: the next is taken when the answer to the last is there, so none ever waits.

export const ANSWER_WITHIN = 100_000; // the server itself gives up after 90 s
const PAUSES = [1, 2, 4, 8, 15];
const LONGEST_PAUSE = 60;

export class Loop {
  #run = null;
  #step = null;

  // `picture(signal)`, `ask(picture, signal)`, `told.answer(picture, answer)`, `told.trouble(error, seconds)`.
  constructor({ picture, ask, told }) {
    Object.assign(this, { picture, ask, told });
  }

  start() {
    this.stop();
    const run = new AbortController();
    this.#run = run;
    this.#go(run.signal);
  }

  stop() {
    this.#run?.abort();
    this.#step?.abort();
    this.#run = this.#step = null;
  }

  // What is under way is given up, and the next picture goes out at once.
  again() {
    this.#step?.abort();
  }

  async #go(run) {
    let troubles = 0;
    while (!run.aborted) {
      const step = new AbortController();
      this.#step = step;
      try {
        await whenVisible(step.signal);
        const picture = await this.picture(step.signal);
        if (document.hidden) continue;
        const answer = await this.#within(picture, step.signal);
        troubles = 0;
        this.told.answer(picture, answer);
      } catch (error) {
        if (run.aborted) return;
        if (step.signal.aborted) {
          troubles = 0;
          continue;
        }
        const pause = Math.min(error.retryAfter ?? PAUSES[Math.min(troubles, PAUSES.length - 1)], LONGEST_PAUSE);
        troubles++;
        this.told.trouble(error, pause);
        await sleep(pause * 1000, step.signal);
        if (step.signal.aborted) troubles = 0;
      }
    }
  }

  async #within(picture, signal) {
    const deadline = new AbortController();
    const end = () => deadline.abort();
    const timer = setTimeout(end, ANSWER_WITHIN);
    signal.addEventListener("abort", end, { once: true });
    try {
      return await this.ask(picture, deadline.signal);
    } catch (error) {
      if (deadline.signal.aborted && !signal.aborted) {
        throw new Error(`camscribe gave no answer within ${ANSWER_WITHIN / 1000} s.`);
      }
      throw error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
    }
  }
}

// At once, or as soon as the page is seen again.
function whenVisible(signal) {
  if (!document.hidden) return Promise.resolve();
  return new Promise((done, failed) => {
    const look = () => {
      if (document.hidden) return;
      document.removeEventListener("visibilitychange", look);
      done();
    };
    document.addEventListener("visibilitychange", look);
    const end = () => {
      document.removeEventListener("visibilitychange", look);
      failed(signal.reason);
    };
    signal.addEventListener("abort", end, { once: true });
  });
}

// So long, or until `signal`.
function sleep(milliseconds, signal) {
  return new Promise((done) => {
    const timer = setTimeout(done, milliseconds);
    const end = () => {
      clearTimeout(timer);
      done();
    };
    signal.addEventListener("abort", end, { once: true });
  });
}
