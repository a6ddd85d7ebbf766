// The live page: this browser's camera, captioned as it happens.

import { api, milliseconds, say, text } from "./api.js";
import { Backends, detailOf, isLoading, isReady } from "./live_backends.js";
import { Pictures, Webcam, possible } from "./live_camera.js";
import { Captions } from "./live_captions.js";
import { Loop } from "./live_loop.js";
import { remembered } from "./live_memory.js";
import { insecure, refusal, unplugged } from "./live_refusals.js";
import { Speed } from "./live_speed.js";

const HIDDEN_FOR = 60_000; // then the camera is given back
const SAID_EVERY = 5000;
const LOOKING_FROM = 1500; // ms after which an answer under way is worth a word
const ASK_STATES = { loading: 1500, running: 10_000 };

const $ = (id) => document.getElementById(id);
const video = $("video");
const prompt = $("prompt");

// The parts

const webcam = new Webcam(video, () => {
  off();
  refuse(unplugged());
});
const pictures = new Pictures(video, () => notice("The camera sends no pictures just now.", "warn"));
const backends = new Backends($("backends"), (name) => {
  remembered.set("backend", name);
  calm();
  loop.again();
});
const captions = new Captions(
  { card: $("now"), caption: $("caption"), thumbnail: $("thumbnail"), age: $("age"), meta: $("meta") },
  $("history"),
  $("entry"),
);
const speed = new Speed();
const loop = new Loop({ picture: (signal) => pictures.next(signal), ask, told: { answer, trouble } });

let asked = null; // when the question under way was put, by performance.now()
let troubled = false;
let loading = null; // since when the chosen back end loads its model

// One request

async function ask(picture, signal) {
  asked = performance.now();
  const body = {
    image: picture.dataUrl,
    prompt: prompt.value.trim() || prompt.defaultValue,
    captioner: backends.chosen, // null: camscribe's choice
    max_tokens: Number($("length").value),
  };
  try {
    const observation = await api.send("POST", "/api/v1/captions", body, { signal });
    if (observation.error) throw new LookFailed(observation.error.message);
    return { observation, answered: performance.now() };
  } finally {
    asked = null;
  }
}

class LookFailed extends Error {}

function answer(picture, { observation, answered }) {
  calm();
  const { captioner, model, tokens, latency_ms: server, truncated } = observation;
  const total = speed.add({ ...picture, answered, server, captioner });
  const by = backends.nameOf(captioner);
  const whose = by && model ? `${model} on ${by}` : by || model;
  const about = [milliseconds(total), whose, tokens && `${tokens} tokens`, truncated && "cut short"];
  captions.add({ caption: observation.caption, picture, about: about.filter(Boolean).join(" · "), total });
  $("copy").hidden = !navigator.clipboard;
  speak(observation.caption);
  chip();
  if (backends.current && !isReady(backends.current)) askStates();
}

async function trouble(error, pause) {
  if (error.status === 401) { // api.js goes to the login page
    off();
    return;
  }
  troubled = true;
  if (error instanceof LookFailed) await askStates();
  if (!troubled) return;
  const loads = error instanceof LookFailed && backends.current && isLoading(backends.current);
  if (!loads) notice(`${error.message} Trying again in ${pause} s.`, "warn");
  chip();
}

function calm() {
  troubled = false;
  loading = null;
  clearNotice();
}

// Screen readers hear the newest caption, and never more than one in a few seconds.

let spoken = "";
let speaking = null;

function speak(caption) {
  if (speaking !== null || caption === spoken) return;
  spoken = caption;
  say(caption);
  speaking = setTimeout(() => {
    speaking = null;
    if (webcam.running && captions.last) speak(captions.last);
  }, SAID_EVERY);
}

// The camera on and off

async function on(which) {
  const focused = document.activeElement === $("start");
  calm();
  if (!webcam.running) stage("starting");
  const wanted = which ?? (remembered.get("camera") ? { deviceId: remembered.get("camera") } : {});
  try {
    if (!(await webcam.open(wanted))) return;
  } catch (error) {
    if (!which && wanted.deviceId && error.name === "OverconstrainedError") {
      remembered.set("camera", null);
      await on({});
      if (webcam.running) notice("The camera that was chosen last time isn't there: this is another.", "warn");
      return;
    }
    off();
    refuse(refusal(error));
    return;
  }
  stage("running");
  if (focused) $("stop").focus({ preventScroll: true });
  pictures.follow();
  loop.start();
  askStates();
  await listCameras();
}

function off() {
  loop.stop();
  pictures.rest();
  webcam.close();
  const focused = document.activeElement === $("stop");
  stage("off");
  calm();
  if (focused) $("start").focus({ preventScroll: true });
}

function stage(state) {
  $("stage").dataset.state = state;
  $("refusal").hidden = true;
  $("idle").hidden = state === "running";
  $("start").setAttribute("aria-busy", String(state === "starting"));
  text($("start"), state === "starting" ? "Asking for the camera" : "Start the camera");
  for (const id of ["stop", "chip"]) $(id).hidden = state !== "running";
  video.hidden = state !== "running";
  if (state !== "running") $("flip").hidden = true;
  $("welcome").hidden = false;
  $("start").hidden = !possible;
  if (!possible) refuse(insecure());
  chip();
}

function refuse({ kind, title, what, steps, docs = false, own = false }) {
  const place = $("refusal");
  place.dataset.kind = kind;
  text($("refusal-title"), title);
  text($("refusal-what"), what);
  $("refusal-steps").replaceChildren(
    ...steps.map((step) => {
      const item = document.createElement("li");
      item.textContent = step;
      return item;
    }),
  );
  $("refusal-docs").hidden = !docs;
  $("refusal-own").hidden = !own;
  $("welcome").hidden = true;
  place.hidden = false;
}

// Several cameras, and a phone's two ways to look

async function listCameras() {
  const cameras = await webcam.all();
  const several = cameras.length > 1;
  $("camera-field").hidden = !several;
  $("flip").hidden = !(several && webcam.running && matchMedia("(pointer: coarse)").matches);
  $("camera").replaceChildren(
    ...cameras.map((camera, index) => new Option(camera.label || `Camera ${index + 1}`, camera.deviceId)),
  );
  $("camera").value = webcam.current.deviceId;
}

function chooseCamera() {
  remembered.set("camera", $("camera").value);
  if (webcam.running) on({ deviceId: $("camera").value });
}

function flip() {
  remembered.set("camera", null);
  on({ facingMode: webcam.current.facingMode === "user" ? "environment" : "user" });
}

// What is going on

function chip() {
  const backend = backends.current;
  const waits = asked === null ? 0 : performance.now() - asked;
  let [words, kind] = ["live", "ready"];
  if ((troubled || waits > LOOKING_FROM) && backend && isLoading(backend)) {
    loading ??= asked ?? performance.now();
    const told = ["loading the model", detailOf(backend), seconds(performance.now() - loading)];
    [words, kind] = [told.filter(Boolean).join(", "), "starting"];
  } else if (waits > LOOKING_FROM) {
    [words, kind] = [`looking, ${seconds(waits)}`, "starting"];
  } else if (troubled) {
    [words, kind] = ["waiting", "paused"];
  }
  $("chip").className = `chip state ${kind}`;
  text($("chip"), words);
  speed.showBadge(webcam.running, troubled ? Infinity : waits);
}

function seconds(milliseconds) {
  return `${Math.round(milliseconds / 1000)} s`;
}

function notice(words, kind) {
  $("notice").className = `notice ${kind}`;
  text($("notice"), words);
  $("notice").hidden = false;
}

function clearNotice() {
  $("notice").hidden = true;
  text($("notice"), "");
}

let nextAsking = null;
let statesUnderWay = null;

// The back ends' states: often while one is loading, now and then otherwise, never in a tab that nobody sees.
function askStates() {
  clearTimeout(nextAsking);
  if (document.hidden) return null;
  statesUnderWay ??= loadStates().finally(() => {
    statesUnderWay = null;
    const soon = webcam.running && backends.current && !isReady(backends.current);
    nextAsking = setTimeout(askStates, soon ? ASK_STATES.loading : ASK_STATES.running);
  });
  return statesUnderWay;
}

async function loadStates() {
  try {
    await backends.load(remembered.get("backend"));
  } catch (error) {
    if (!backends.known) text($("backends-none"), error.message);
  }
}

// The page

$("start").addEventListener("click", () => on());
$("stop").addEventListener("click", off);
$("flip").addEventListener("click", flip);
$("camera").addEventListener("change", chooseCamera);
$("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText(captions.last);
  text($("copy"), "Copied");
  say("Copied");
  setTimeout(() => text($("copy"), "Copy"), 2000);
});

prompt.value = remembered.get("prompt") || prompt.defaultValue;
$("length").value = remembered.get("length") || $("length").value;
if (!$("length").value) $("length").selectedIndex = 1;
prompt.addEventListener("input", () => {
  const own = prompt.value.trim() !== prompt.defaultValue;
  $("reset").hidden = !own;
  remembered.set("prompt", own ? prompt.value : null);
});
$("reset").hidden = prompt.value === prompt.defaultValue;
$("reset").addEventListener("click", () => {
  prompt.value = prompt.defaultValue;
  prompt.dispatchEvent(new Event("input"));
  prompt.focus();
});
$("length").addEventListener("change", () => remembered.set("length", $("length").value));

video.addEventListener("resize", () => {
  if (video.videoWidth) $("stage").style.aspectRatio = `${video.videoWidth} / ${video.videoHeight}`;
});
navigator.mediaDevices?.addEventListener?.("devicechange", () => webcam.running && listCameras());
setInterval(() => webcam.running && !document.hidden && chip(), 500);

let hidden = null;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hidden);
  if (!document.hidden) {
    askStates();
  } else if (webcam.running) {
    hidden = setTimeout(() => {
      off();
      notice("The camera was switched off, as nobody saw this page for a minute.", "");
    }, HIDDEN_FOR);
  }
});
addEventListener("pagehide", off);

stage("off");
askStates();
