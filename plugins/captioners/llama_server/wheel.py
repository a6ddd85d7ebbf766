"""Serves a model with the llama.cpp server inside the ``xllamacpp`` wheel. A process of its own.

    python wheel.py '{"model": "…gguf", "mmproj": "…gguf", "host": "/run/x.sock", …}'

    python wheel.py --about

It is the engine where no ``llama-server`` is installed. The same HTTP API, the same log on standard error.
Run by its path, not as a module: the package around it would bring in what the agent needs and this doesn't.
"""

import json
import os
import signal
import sys
import time
from typing import Any

ABOUT = "--about"
LAST_WORDS = 0.5
"""Seconds. A thread of the server's own writes its log, and what that has not written is lost with the process."""


def main() -> None:
    if sys.argv[1:] == [ABOUT]:
        about()
        return
    settings: dict[str, Any] = json.loads(sys.argv[1])
    import xllamacpp  # noqa: PLC0415  not before the settings are known to be whole: it takes a while

    params = xllamacpp.CommonParams()
    params.model.path = settings["model"]
    params.mmproj.path = settings["mmproj"]
    params.model_alias = [settings["alias"]]
    params.hostnames = [settings["host"]]
    params.port = settings["port"]
    params.n_ctx = settings["context"]
    params.n_parallel = settings["parallel"]
    params.cpuparams.n_threads = settings["threads"]
    params.cache_ram_mib = 0  # else every picture's prompt is kept, up to 8 GiB in all
    params.ui = False
    params.offline = True
    if settings["image_tokens"] is not None:
        params.image_max_tokens = settings["image_tokens"]
    if settings["least_tokens"] is not None:
        params.image_min_tokens = settings["least_tokens"]
    if settings["gpu_layers"] is not None:
        params.n_gpu_layers = settings["gpu_layers"]
    if key := os.environ.get("LLAMA_API_KEY"):
        params.api_keys = [key]
    try:
        server = xllamacpp.Server(params)
    except (RuntimeError, ValueError):
        time.sleep(LAST_WORDS)
        sys.exit(1)  # the server has said why, on standard error
    # The server's own handler would stop serving and leave this process behind.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.stderr.write(f"serving on {server.listening_address}\n")
    while True:
        signal.pause()


def about() -> None:
    """What it is made for, as one line of JSON."""
    import xllamacpp  # noqa: PLC0415

    graphics = {"GGML_BACKEND_DEVICE_TYPE_GPU", "GGML_BACKEND_DEVICE_TYPE_IGPU"}
    devices = [
        f"{device['name']}: {device['description']}"
        for device in xllamacpp.get_device_info()
        if device["type"].name in graphics
    ]
    print(json.dumps({"devices": devices, "system_info": xllamacpp.get_system_info()}))  # noqa: T201


if __name__ == "__main__":
    main()
