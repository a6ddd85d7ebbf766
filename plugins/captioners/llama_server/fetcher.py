"""Talks to Hugging Face: a process of its own, with huggingface_hub and the standard library only.

The agent gives orders on standard input, a JSON object a line, and reads from standard output: any number of
``{"done": bytes}``, then ``{"ok": …}`` or ``{"failed": {"kind": …}}``. The end of standard input means that the agent
has changed its mind or is gone, however it died: so does this process, at once. What is on disk by then is kept.

Why a process: a thread that waits for a silent server can't be stopped, the library's memory comes back to nobody, and
it logs whole addresses, which may be keys.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import json
import os
import queue
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

NAME = "camscribe"
"""As which we are known there."""
CHUNK = 256 * 1024
"""Bytes that are lost when the connection breaks."""
TELL_EVERY = 0.2
LOCK_PAUSE = 0.2
_SHA256 = re.compile(r"[0-9a-f]{64}")


def main() -> None:
    orders: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=listen, args=(orders,), daemon=True).start()
    while True:
        order = json.loads(orders.get())
        try:
            tell({"ok": ORDERS[order["do"]](order)})
        except Exception as error:  # noqa: BLE001 (the agent has the words for it)
            tell({"failed": reason(error)})


def listen(orders: queue.SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        orders.put(line)
    os._exit(0)


def tell(what: Mapping[str, Any]) -> None:
    try:
        os.write(1, json.dumps(what).encode() + b"\n")
    except BrokenPipeError:
        os._exit(0)


def lock(order: Mapping[str, Any]) -> None:
    """Until this process ends; one download of a repository at a time."""
    path, told = Path(order["path"]), False
    while True:
        place = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.fstat(place), path.stat()):
                return  # else somebody has deleted it meanwhile, and the next one locks another file
        except BlockingIOError:
            if not told:
                tell({"waiting": True})
            told = True
        os.close(place)
        time.sleep(LOCK_PAUSE)


def list_(order: Mapping[str, Any]) -> dict[str, Any]:
    """The GGUF files of a repository as it is now."""
    from huggingface_hub import HfApi, constants  # noqa: PLC0415 (slow to import: not before the lock is ours)

    info = HfApi(library_name=NAME).model_info(
        order["repo"], files_metadata=True, timeout=constants.HF_HUB_ETAG_TIMEOUT
    )
    files = [
        {"path": file.rfilename, "size": file.size, "sha256": file.lfs.sha256 if file.lfs else None}
        for file in info.siblings or ()
        if file.rfilename.lower().endswith(".gguf")
    ]
    return {"commit": info.sha, "files": files}


class Partial(io.BufferedWriter):
    """A file that tells how long it is by now."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path, "ab"))
        self._told = 0.0

    def write(self, data: Any) -> int:
        written = super().write(data)
        self.flush()
        if time.monotonic() - self._told >= TELL_EVERY:
            self._told = time.monotonic()
            tell({"done": self.tell()})
        return written


def get(order: Mapping[str, Any]) -> None:
    """One file, from where its partial one ends. It gets its name once its checksum is right."""
    from huggingface_hub import constants, hf_hub_url  # noqa: PLC0415 (as above)
    from huggingface_hub.file_download import http_get  # noqa: PLC0415
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # noqa: PLC0415 (not said to be)

    constants.DOWNLOAD_CHUNK_SIZE = CHUNK  # the library's 10 MB are a minute of a slow line
    path, partial = Path(order["to"]), Path(order["partial"])
    url = hf_hub_url(order["repo"], order["path"], revision=order["commit"])
    wanted = order["sha256"] or checksum_of(url)
    if partial.exists() and partial.stat().st_size > order["size"]:
        partial.unlink()
    with Partial(partial) as file:
        tell({"done": file.tell()})
        http_get(
            url,
            file,
            resume_size=file.tell(),
            headers={**build_hf_headers(library_name=NAME), "Accept-Encoding": "identity"},
            expected_size=order["size"],
        )
        tell({"done": file.tell()})
        os.fsync(file.fileno())
    with partial.open("rb") as written:
        digest = hashlib.file_digest(written, "sha256").hexdigest()
    if digest != wanted:
        partial.unlink()
        raise Damaged
    partial.replace(path)


def checksum_of(url: str) -> str:
    """Where the list of files has none: what the file's own address says."""
    from huggingface_hub import get_hf_file_metadata  # noqa: PLC0415 (as above)

    etag = get_hf_file_metadata(url).etag or ""
    if not _SHA256.fullmatch(etag):
        raise NoChecksum
    return etag


class Damaged(Exception):
    """The file is not what the repository says it is."""


class NoChecksum(Exception):
    """Nobody says what the file should be."""


def reason(error: Exception) -> dict[str, Any]:
    """What went wrong, without an address or anything else in it that may be a key."""
    import httpx2  # noqa: PLC0415 (as above)
    from huggingface_hub import errors  # noqa: PLC0415

    kinds: list[tuple[type[Exception] | tuple[type[Exception], ...], str]] = [
        (Damaged, "damaged"),
        (NoChecksum, "no_checksum"),
        (errors.OfflineModeIsEnabled, "offline"),
        (errors.GatedRepoError, "gated"),
        ((errors.RepositoryNotFoundError, errors.HFValidationError), "no_repository"),
        ((httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError), "unreachable"),
        ((httpx2.UnsupportedProtocol, httpx2.InvalidURL), "bad_address"),
        (httpx2.TransportError, "broken"),
    ]
    for kind, name in kinds:
        if isinstance(error, kind):
            return {"kind": name, "what": type(error).__name__}
    if isinstance(error, errors.HfHubHTTPError):
        return {"kind": "status", "status": error.response.status_code}
    if isinstance(error, (ValueError, TypeError, KeyError)):
        return {"kind": "nonsense", "what": type(error).__name__}
    if isinstance(error, OSError) and error.errno:
        return {"kind": "disk", "full": error.errno in (errno.ENOSPC, errno.EDQUOT), "what": error.strerror}
    return {"kind": "broken", "what": type(error).__name__}


ORDERS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {"lock": lock, "list": list_, "get": get}

if __name__ == "__main__":
    main()
