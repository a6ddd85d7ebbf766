// The browser's own camera in a <video>, and its newest picture: each at most once.

const LONG_EDGE = 768;
const QUALITY = 0.85;
const SILENT_AFTER = 5000;

// Browsers hand out a camera over HTTPS and on this very machine only: elsewhere there is no use in asking.
export const possible = window.isSecureContext && Boolean(navigator.mediaDevices?.getUserMedia);

export class Webcam {
  #video;
  #stream = null;
  #opening = 0;

  // `ended`: the camera went away by itself.
  constructor(video, ended) {
    this.#video = video;
    this.ended = ended;
  }

  get running() {
    return this.#stream !== null;
  }

  // The device it shows, and the way it looks on a phone: `user`, `environment` or nothing.
  get current() {
    const { deviceId = "", facingMode = "" } = this.#stream?.getVideoTracks()[0]?.getSettings() ?? {};
    return { deviceId, facingMode };
  }

  // Asks the person for it. False where it was closed meanwhile. Throws what getUserMedia throws.
  async open({ deviceId, facingMode = "environment" } = {}) {
    this.close();
    const mine = ++this.#opening;
    const which = deviceId ? { deviceId: { exact: deviceId } } : { facingMode: { ideal: facingMode } };
    const video = { ...which, width: { ideal: 1280 }, height: { ideal: 720 } };
    const stream = await navigator.mediaDevices.getUserMedia({ audio: false, video });
    if (mine !== this.#opening) {
      release(stream);
      return false;
    }
    this.#stream = stream;
    for (const track of stream.getVideoTracks()) {
      track.addEventListener("ended", () => {
        if (this.#stream !== stream) return;
        this.close();
        this.ended();
      });
    }
    this.#video.srcObject = stream;
    await this.#video.play().catch((error) => {
      if (this.#stream === stream) throw error;
    });
    return this.#stream === stream;
  }

  // The camera's light goes off.
  close() {
    this.#opening++;
    release(this.#stream);
    this.#stream = null;
    this.#video.srcObject = null;
  }

  async all() {
    const devices = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
    return devices.filter((device) => device.kind === "videoinput");
  }
}

function release(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

export class Pictures {
  #video;
  #canvas = document.createElement("canvas");
  #shown = 0;
  #taken = 0;
  #news = () => {};
  #following = 0;

  // `silent`: the camera has sent nothing for a while.
  constructor(video, silent) {
    this.#video = video;
    this.silent = silent;
  }

  // From now on: what the camera shows is counted.
  follow() {
    const mine = ++this.#following;
    this.#taken = this.#shown;
    const step = () => {
      if (mine !== this.#following) return;
      this.#shown++;
      this.#news();
      whenNext(this.#video, step);
    };
    whenNext(this.#video, step);
  }

  rest() {
    this.#following++;
  }

  // One that was not given before, as {blob, dataUrl, at, wall, encoded}; at and encoded by performance.now().
  async next(signal) {
    const { videoWidth, videoHeight } = await this.#fresh(signal);
    const scale = Math.min(1, LONG_EDGE / Math.max(videoWidth, videoHeight));
    const canvas = this.#canvas;
    canvas.width = Math.max(1, Math.round(videoWidth * scale));
    canvas.height = Math.max(1, Math.round(videoHeight * scale));
    const [at, wall] = [performance.now(), new Date()];
    canvas.getContext("2d", { alpha: false }).drawImage(this.#video, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", QUALITY));
    if (!blob) throw new Error("This browser made no JPEG of the camera's picture.");
    const dataUrl = await asDataUrl(blob);
    signal.throwIfAborted();
    return { blob, dataUrl, at, wall, encoded: performance.now() };
  }

  async #fresh(signal) {
    const timer = setTimeout(this.silent, SILENT_AFTER);
    try {
      while (this.#shown === this.#taken || !this.#video.videoWidth) {
        signal.throwIfAborted();
        await new Promise((done, failed) => {
          this.#news = done;
          signal.addEventListener("abort", () => failed(signal.reason), { once: true });
        });
      }
    } finally {
      clearTimeout(timer);
      this.#news = () => {};
    }
    this.#taken = this.#shown;
    return this.#video;
  }
}

// Calls back when the video shows a picture that it has not shown before.
function whenNext(video, then) {
  if (video.requestVideoFrameCallback) {
    video.requestVideoFrameCallback(() => then());
    return;
  }
  const before = video.currentTime;
  const look = () => (video.currentTime === before ? requestAnimationFrame(look) : then());
  requestAnimationFrame(look);
}

function asDataUrl(blob) {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.onerror = () => failed(reader.error);
    reader.readAsDataURL(blob);
  });
}
