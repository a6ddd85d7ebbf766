"""Finds a repository's files on this disk, or downloads them. Tells its progress in lines of JSON on standard output.

``{"progress": "…"}`` while it works, and at the end ``{"folder": "…"}`` or ``{"fault": "…", "lasting": true|false}``.
"""

from __future__ import annotations

import errno
import io
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

FILES = ["*.json", "*.txt", "*.jinja", "*.model", "*.safetensors"]
CODE = ["*.py"]
NOT_THESE = ["onnx/*", "*/*"]
"""Models for other programs lie in folders of their own."""


def main(settings: dict[str, Any]) -> None:
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints is no line of ours
    lock = threading.Lock()

    def tell(**what: Any) -> None:
        with lock:
            out.write(json.dumps(what) + "\n")

    threading.Thread(target=end_with_agent, daemon=True).start()
    from huggingface_hub import constants  # noqa: PLC0415  it reads the environment as it is imported

    try:
        folder = on_disk(settings, [settings["cache"], constants.HF_HUB_CACHE])
        if folder is None and not settings["look_only"]:
            folder = download(settings, lambda words: tell(progress=words))
        tell(folder=folder)
    except Exception as error:  # noqa: BLE001  whatever it is, the agent is told, and says it to a person
        tell(fault=fault(error, settings["repo"]), lasting=is_lasting(error))


def end_with_agent() -> None:
    """Its end of our standard input closes when it has had enough, or is killed."""
    while os.read(0, 4096):
        pass
    os._exit(1)


LASTING = {"RepositoryNotFoundError", "RevisionNotFoundError", "GatedRepoError", "HFValidationError"}
"""Waiting does not mend these."""
CLOSED = (401, 403)
SIGN_OF_LIFE = 10.0
"""Seconds after which it is said again how far it is, on a slow line."""


def on_disk(settings: dict[str, Any], caches: list[str]) -> str | None:
    """The snapshot's folder, where all of it is here."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415
    from huggingface_hub.errors import LocalEntryNotFoundError  # noqa: PLC0415

    for cache in caches:
        try:
            folder: str = snapshot_download(
                settings["repo"],
                revision=settings["revision"],
                cache_dir=cache,
                local_files_only=True,
                **wanted(settings),
            )
        except LocalEntryNotFoundError:
            continue
        if complete(folder):
            return folder
    return None


def wanted(settings: dict[str, Any]) -> dict[str, Any]:
    """Which of its files: asked for alike when they are looked for and when they are downloaded."""
    code = CODE if settings["remote_code"] else []
    return {"allow_patterns": FILES + code, "ignore_patterns": NOT_THESE}


def complete(folder: str) -> bool:
    """A snapshot's folder is there as soon as its first file is: the weights must be, each part of them."""
    names = {path.name for path in Path(folder).iterdir()}
    index = "model.safetensors.index.json"
    if index in names:
        return set(json.loads(Path(folder, index).read_text("utf-8"))["weight_map"].values()) <= names
    return "config.json" in names and any(name.endswith(".safetensors") for name in names)


def download(settings: dict[str, Any], progress: Any) -> str:
    from huggingface_hub import snapshot_download  # noqa: PLC0415
    from tqdm.auto import tqdm  # noqa: PLC0415

    done = Done(progress)
    nowhere = io.StringIO()

    class Bar(tqdm):  # type: ignore[misc]  # untyped
        """huggingface_hub counts with it; ours shows nothing and passes the count on."""

        def __init__(self, *args: Any, **options: Any) -> None:
            self.bytes = options.get("unit") == "B"
            super().__init__(*args, **{**options, "disable": False, "file": nowhere})

        def update(self, n: float | None = 1) -> Any:
            shown = super().update(n)
            if self.bytes and self.total:
                done.at(self.n, self.total)
            return shown

    folder: str = snapshot_download(
        settings["repo"],
        revision=settings["revision"],
        cache_dir=settings["cache"],
        **wanted(settings),
        tqdm_class=Bar,
        max_workers=2,
    )
    return folder


class Done:
    """The bytes of all files together, as the bar with the largest total counts them. Each percent is told."""

    def __init__(self, progress: Any) -> None:
        self._progress, self._lock = progress, threading.Lock()
        self._total = 0.0
        self._told, self._when = -1, 0.0

    def at(self, done: float, total: float) -> None:
        with self._lock:
            if total < self._total:
                return
            self._total = total
            percent = min(100, int(100 * done / total))
            if percent != self._told or time.monotonic() - self._when > SIGN_OF_LIFE:
                self._told, self._when = percent, time.monotonic()
                self._progress(f"downloading, {percent} % of {total / 1e6:.0f} MB")


def is_lasting(error: Exception) -> bool:
    return type(error).__name__ in LASTING or status_of(error) in CLOSED


def status_of(error: Exception) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def fault(error: Exception, repo: str) -> str:
    kind, status = type(error).__name__, status_of(error)
    if kind == "GatedRepoError":
        return f"{repo} wants you to accept its terms on Hugging Face first; then set HF_TOKEN."
    if is_lasting(error):
        return (
            f"Hugging Face has no {repo} that everybody may read ({kind}). Check its spelling and revision; for one "
            "that needs an account, set HF_TOKEN."
        )
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"There is no room on the disk for {repo}."
    return (
        f"The model {repo} is not on this machine yet and can't be downloaded ({status or kind}). Check the network, "
        "or name a folder of your own as model."
    )
