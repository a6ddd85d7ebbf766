"""How the engine is set up, in words: for the log, and for who asks what is wrong."""

from __future__ import annotations

from pathlib import Path

from plugins.captioners.llama_server.binary import Found, Installed
from plugins.captioners.llama_server.command import threads
from plugins.captioners.llama_server.config import LlamaServerConfig
from plugins.captioners.llama_server.fitted import Fitted
from plugins.captioners.llama_server.gguf import read_header

_TELLING = ("AVX512_BF16", "AMX_INT8", "AVX512", "AVX2", "MATMUL_INT8", "SVE", "DOTPROD", "NEON")
"""Of what an engine is made for, what makes a caption faster."""
_NUMBERS = {0: "F32", 1: "F16", 7: "Q8_0", 32: "BF16"}
"""GGUF's general.file_type, those that projectors come in."""
BUDGET = "--image-max-tokens"


def set_up(engine: Found, fit: Fitted) -> str:
    """Threads, slots, context, device, the projector's numbers. Reads a file."""
    config = fit.config
    choice, count = config.choice, threads(config)
    parts = [
        _several(count, "thread"),
        f"{_several(config.parallel, 'slot')} of {choice.context} tokens",
        device(engine, config),
    ]
    if numbers := _numbers(fit.files.mmproj):
        parts.append(f"projector in {numbers}")
    if fit.once:
        parts.append(f"each picture encoded once, {choice.image_tokens} tokens")
    elif choice.image_tokens is not None and not lacks_budget(engine, config):
        parts.append(f"at most {choice.image_tokens} tokens a picture")
    if config.extra_args:
        parts.append("and what extra_args say")
    return ", ".join(parts)


def device(engine: Found, config: LlamaServerConfig) -> str:
    if engine.devices and config.gpu_layers != 0:
        return f"on {' and '.join(engine.devices)}"
    made_for = [feature for feature in _TELLING if feature in engine.features]
    return f"on the processor ({', '.join(made_for)})" if made_for else "on the processor"


def lacks_budget(engine: Found, config: LlamaServerConfig) -> bool:
    """The model wants its pictures limited, and this build has no such option."""
    return config.choice.image_tokens is not None and isinstance(engine, Installed) and BUDGET not in engine.flags


def _several(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _numbers(mmproj: Path) -> str | None:
    try:
        kind = read_header(mmproj, {"general.file_type"}).get("general.file_type")
    except (ValueError, OSError):
        return None  # the engine will say what is wrong with it
    return _NUMBERS.get(int(kind)) if isinstance(kind, int) else None
