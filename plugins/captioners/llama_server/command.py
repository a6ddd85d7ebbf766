"""The engine's command line."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from agent.plugin import Misconfigured
from plugins.captioners.engine.endpoint import Endpoint
from plugins.captioners.llama_server import wheel
from plugins.captioners.llama_server.binary import Installed, Wheel
from plugins.captioners.llama_server.config import LlamaServerConfig
from plugins.captioners.llama_server.presets import Files

FEW_CORES = 4


PLAIN = "--no-repack"
"""Keeps the weights as the file has them, so that none of the code is used that wants them laid out for one kind of
processor: AMX and the like."""


def command(
    engine: Installed | Wheel, config: LlamaServerConfig, files: Files, endpoint: Endpoint, *, plain: bool = False
) -> list[str]:
    """``plain``: without code for particular processors, where the engine can be told so."""
    if isinstance(engine, Installed):
        return [*_llama_server(engine, config, files, endpoint), *([PLAIN] if plain else []), *config.extra_args]
    return _wheel(config, files, endpoint)


def environment(config: LlamaServerConfig) -> dict[str, str]:
    """Ours, without what would configure a llama-server behind the config's back or is not its business."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LLAMA_ARG_", "LLAMA_API_KEY", "CAMSCRIBE_", "HF_TOKEN"))
    }
    # Threads that wait for each other may spin for a moment only: where cameras share the processor, spinning on makes
    # a caption ten times as slow, and sleeping at once makes an idle one slower (two cores, median of a small caption,
    # idle / busy: spinning 17 / 797 ms, sleeping 60 / 117 ms, a thousand spins 17 / 71 ms).
    if "OMP_WAIT_POLICY" not in kept:
        kept.setdefault("GOMP_SPINCOUNT", "1000")
    kept.setdefault("GGML_NO_BACKTRACE", "1")  # else one that aborts starts a debugger on itself first
    if config.api_key is not None:
        kept["LLAMA_API_KEY"] = config.api_key.get_secret_value()  # a command line is everybody's to read
    return kept


def threads(config: LlamaServerConfig) -> int:
    """All of a few cores; of many, half: on most machines the other half are hyperthreads or slow cores."""
    if config.threads or config.choice.threads:
        return config.threads or config.choice.threads or 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if cores <= FEW_CORES else max(FEW_CORES, cores // 2)


def check(config: LlamaServerConfig) -> None:
    """Whether the wheel's engine can do what the config says. Raises Misconfigured."""
    if config.extra_args:
        raise Misconfigured(
            "extra_args are for a llama-server, and there is none on this machine: the engine that comes with "
            "camscribe takes none. Install llama.cpp (macOS: brew install llama.cpp) or leave them out."
        )


def _llama_server(engine: Installed, config: LlamaServerConfig, files: Files, endpoint: Endpoint) -> list[str]:
    choice = config.choice
    words = [str(engine.path), "--model", str(files.model), "--mmproj", str(files.mmproj), "--host", endpoint.host]
    if endpoint.port:
        words += ["--port", str(endpoint.port)]
    words += ["--ctx-size", str(choice.context * config.parallel), "--parallel", str(config.parallel)]
    words += ["--threads", str(threads(config))]
    if config.gpu_layers is not None:
        words += ["--n-gpu-layers", str(config.gpu_layers)]
    optional = [
        ["--alias", choice.name],
        ["--jinja"],
        ["--no-ui"] if "--no-ui" in engine.flags else ["--no-webui"],
        ["--offline"],
        ["--cache-ram", "0"],  # else every picture's prompt is kept, up to 8 GiB in all
    ]
    if choice.image_tokens is not None:
        optional.append(["--image-max-tokens", str(choice.image_tokens)])
    if choice.least_tokens is not None:
        optional.append(["--image-min-tokens", str(choice.least_tokens)])
    for option in optional:
        if option[0] in engine.flags:
            words += option
    return words


def _wheel(config: LlamaServerConfig, files: Files, endpoint: Endpoint) -> list[str]:
    check(config)
    settings = {
        "model": str(files.model),
        "mmproj": str(files.mmproj),
        "alias": config.choice.name,
        "host": endpoint.host,
        "port": endpoint.port,
        "context": config.choice.context * config.parallel,
        "parallel": config.parallel,
        "threads": threads(config),
        "image_tokens": config.choice.image_tokens,
        "least_tokens": config.choice.least_tokens,
        "gpu_layers": config.gpu_layers,
    }
    return [sys.executable, "-I", str(Path(wheel.__file__)), json.dumps(settings)]
