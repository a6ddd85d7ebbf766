// How the pages say what the records hold: agent/web/words.py says it alike, for the page as it comes.

import { duration } from "./api.js";

const OFFLINE = {
  "starting": "No picture",
  "connecting": "Connecting",
  "live": "No picture",
  "no key frames": "Sends no key frames",
  "unauthorized": "Refuses the login",
  "not found": "No such picture there",
  "silent": "Sends nothing",
  "gone": "Can't be reached",
  "behind": "Sends old pictures",
  "damaged": "Sends damaged pictures",
  "no permission": "Not allowed by the system",
  "busy": "In use by another program",
  "parked": "Given up until a restart",
};

const ERRORS = {
  unauthorized: "Login refused",
  not_found: "No such picture",
  unreachable: "Not reached",
  timeout: "No picture in time",
  stale: "Only an old picture",
  damaged: "Damaged picture",
  no_video: "No video",
  source: "Camera trouble",
  engine: "Model not running",
  engine_timeout: "Model took too long",
  budget: "Too many calls",
  refused: "Refused by the model",
  no_answer: "No answer",
  stopped: "Stopped",
  internal: "A bug",
};

export function stateOf(camera, paused) {
  if (!camera.enabled) return ["off", paused ? "Switched off" : "Switched off; looks only when asked"];
  if (paused) return ["paused", "Paused"];
  if (!camera.online) {
    const said = camera.state !== "live" || camera.failing;
    return ["offline", said ? OFFLINE[camera.state] ?? camera.state : "No fresh caption"];
  }
  if (camera.failing) return ["failed", ERRORS[camera.failing.kind] ?? "No caption"];
  if (["starting", "connecting"].includes(camera.state) && (camera.every || camera.cron)) return ["starting", "Starting"];
  if (camera.every !== null) return ["looking", `Looks every ${duration(camera.every)}`];
  return camera.cron ? ["looking", "Looks by its timetable"] : ["asleep", "Looks when asked"];
}

export function engineState(said) {
  const [, known, detail] = /^([^:]*):?(.*)$/s.exec(said);
  return [["ready", "failed"].includes(known) ? known : "starting", `Engine ${known}${detail ? `: ${detail.trim()}` : ""}`];
}

export const questionName = (name, asked) => asked?.name || name.replaceAll("_", " ");

export function answerWords(value, asked) {
  if (value === null) return "no answer";
  if (typeof value === "boolean") return value ? "yes" : "no";
  return asked?.type === "number" && asked.unit ? `${value} ${asked.unit}` : String(value);
}

export const percent = (confidence) => `${Math.round(confidence * 100)} %`;
