// Why the browser hands out no camera, in sentences: {title, what, steps: [text]}.

const HERE = `http://localhost:${location.port || 8765}/live`;
const SITE = "Click the icon beside the address, allow the camera for this page, then start again.";

const REFUSALS = {
  insecure: {
    title: "The camera needs a secure address",
    what: "Browsers hand out the camera only over HTTPS, or on the very machine that camscribe runs on.",
    steps: [
      `On that machine: open ${HERE}.`,
      `From another one: ssh -L ${location.port || 8765}:localhost:${location.port || 8765} THAT-MACHINE, then open ${HERE}.`,
      "For every device at home: HTTPS, from camscribe itself (web: certificate: and key: in config.yaml) or a proxy before it.",
    ],
    docs: true,
  },
  denied: {
    title: "The camera was not allowed",
    what: "This browser has been told, or was told just now, not to give the camera to this page.",
    steps: [SITE],
  },
  system: {
    title: "The system keeps the browser from the camera",
    what: "This page may have it, but the browser itself may not.",
    steps: [
      "macOS: System Settings, Privacy & Security, Camera. Windows: Settings, Privacy, Camera. Phones: the app's permissions.",
      "Then restart the browser.",
    ],
  },
  framed: {
    title: "This page stands inside another, which keeps the camera from it",
    what: "The page around it decides who may use the camera.",
    steps: [],
    own: true,
  },
  missing: {
    title: "No camera found",
    what: "This device has none, or it is switched off or unplugged.",
    steps: ["Plug one in, or open its cover or its switch, then start again."],
  },
  busy: {
    title: "The camera is in use",
    what: "Another program or tab has it, or it doesn't start.",
    steps: ["Close the video call or the other tab that uses it, then start again. Still nothing: unplug it and plug it in."],
  },
  constraint: {
    title: "That camera isn't there any more",
    what: "The one that was chosen is gone, or can't do what was asked of it.",
    steps: ["Choose another camera, then start again."],
  },
  unplugged: {
    title: "The camera went away",
    what: "It was unplugged, or the system took it back.",
    steps: ["Plug it in again, then start again."],
  },
  other: {
    title: "The camera can't be used",
    what: "The browser gave no reason that helps.",
    steps: ["Reload the page, then start again."],
  },
};

const BY_NAME = {
  NotFoundError: "missing",
  DevicesNotFoundError: "missing",
  NotReadableError: "busy",
  TrackStartError: "busy",
  AbortError: "busy",
  OverconstrainedError: "constraint",
  ConstraintNotSatisfiedError: "constraint",
};

export function refusal(error) {
  const kind = kindOf(error);
  const said = REFUSALS[kind];
  return { kind, ...said, what: kind === "other" && error?.message ? `The browser says: ${error.message}` : said.what };
}

export function insecure() {
  return { kind: "insecure", ...REFUSALS.insecure };
}

export function unplugged() {
  return { kind: "unplugged", ...REFUSALS.unplugged };
}

function kindOf(error) {
  const name = error?.name ?? "";
  if (name === "NotAllowedError" || name === "PermissionDeniedError" || name === "SecurityError") {
    if (/system/i.test(error.message)) return "system";
    const policy = document.permissionsPolicy ?? document.featurePolicy;
    return window.top !== window && policy && !policy.allowsFeature("camera") ? "framed" : "denied";
  }
  return BY_NAME[name] ?? "other";
}
