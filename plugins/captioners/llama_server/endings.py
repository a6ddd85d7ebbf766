"""How an engine's run ended: the kinds that call for different things, told apart by its exit code and last lines."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

LAST_LINES = 3
CONFIG_STATUS = 78
"""The exit status of an engine whose last line is a sentence about what has to be changed (sysexits.h: EX_CONFIG)."""
_LOOKED_AT = 60
_LONGEST_WORDS = 700
_CHATTER = ("print_timing", "slot release", "launch_slot")
"""llama.cpp's lines about each caption's time, which look like a fault to who doesn't know them."""


class Kind(StrEnum):
    """What ended a run, or kept it from beginning."""

    INSTRUCTION = "illegal instruction"
    MEMORY = "out of memory"
    KILLED = "killed"
    CORRUPT = "broken model file"
    CUT_SHORT = "file cut short under it"
    MISSING = "missing file"
    UNREADABLE = "unreadable file"
    UNLOADABLE = "unloadable model"
    NO_MODEL = "not a language model"
    NO_MMPROJ = "not a picture projector"
    OTHER_MMPROJ = "projector of another model"
    TOO_NEW = "model too new"
    ADDRESS = "address in use"
    DISK = "disk full"
    OPTION = "unknown option"
    DEVICE = "no such device"
    LIBRARY = "missing library"
    CONFIG = "config"
    CRASH = "crash"
    SLOW = "slow start"
    HANGS = "hangs"
    OTHER = "other"

    @property
    def mends(self) -> bool:
        """Time alone may mend it."""
        return self in _PASSING


_PASSING = {  # keep trying; with all others somebody has to do something first
    Kind.MEMORY,
    Kind.KILLED,
    Kind.ADDRESS,
    Kind.DISK,
    Kind.SLOW,
    Kind.HANGS,
    Kind.OTHER,
}


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a run is over, in sentences: what happened, what to do about it, its last words."""

    kind: Kind
    sentence: str


_SIGNS: tuple[tuple[Kind, str, str], ...] = (
    (
        Kind.LIBRARY,
        r"error while loading shared libraries|cannot open shared object file|Library not loaded|Symbol not found:",
        (
            "lacks a library of the system. Install what it names, or leave out 'binary' to use the engine that comes "
            "with camscribe."
        ),
    ),
    (
        Kind.DEVICE,
        r"invalid device: ",
        (
            "can't use the graphics processor it was told to. See what there is with 'llama-server --list-devices', or "
            "take --device and gpu_layers out of the config."
        ),
    ),
    (
        Kind.OPTION,
        r"error: (invalid|unknown) argument|error while handling argument|error: unknown option",
        "does not know an option it was given. Take it out of extra_args, or install a newer llama-server.",
    ),
    (
        Kind.DISK,
        r"No space left on device|Disk quota exceeded",
        "found the disk full. Make room on it.",
    ),
    (
        Kind.MEMORY,
        (
            r"std::bad_alloc|insufficient memory|failed to allocate|unable to allocate|"
            r"(?i:out of memory)|[Cc]annot allocate memory|Resource temporarily unavailable|\bMemoryError\b|"
            r"ErrorOutOfDeviceMemory|mem_buffer != NULL|backtrace: mmap: 12"
        ),
        (
            "ran out of memory. End other programs, choose a smaller model or quantisation, or lower 'context' and "
            "'parallel'."
        ),
    ),
    (
        Kind.ADDRESS,
        r"couldn't bind|[Aa]ddress already in use",
        "can't listen where it should: something else does. Give it another 'port', or end that program.",
    ),
    (
        Kind.TOO_NEW,
        (
            r"unknown (model architecture|projector type|pre-tokenizer type)|unsupported model architecture|"
            r"GGUF.*version \d+ is not supported"
        ),
        "is too old for this model. Install a newer llama-server (or camscribe), or choose another model.",
    ),
    (
        Kind.OTHER_MMPROJ,
        r"mismatch between text model|you may be using wrong mmproj",
        "was given the picture projector of another model. Name the mmproj file that belongs to the model.",
    ),
    (
        Kind.MISSING,
        r"No such file or directory",
        "can't find a file of its model. Put it back, or name another one.",
    ),
    (
        Kind.UNREADABLE,
        r"Permission denied",
        "may not read a file it needs. Give camscribe's user the right to read it.",
    ),
    (
        Kind.NO_MODEL,
        r"CLIP cannot be used as main model",
        (
            "was given a picture projector as its model. Name the language model's GGUF file under model, and this one "
            "under mmproj."
        ),
    ),
    (
        Kind.CORRUPT,
        (
            r"model is corrupted or incomplete|invalid magic|failed to read (magic|header|key-value|tensor)|"
            r"Does this file exist\?|number of tensors is|failed to seek|wrong number of tensors|missing tensor|"
            r"tensor '.*' not found|key not found in model|unexpectedly reached end of file|exceeds maximum|"
            r"has wrong shape|invalid (tensor|ggml type)|read error: "
        ),
        (
            "can't read its model: a GGUF file is broken or cut short. Download it anew; a preset's with 'camscribe "
            "model rm' and 'pull'."
        ),
    ),
    (
        Kind.NO_MMPROJ,
        r"Failed to load CLIP model|failed to load multimodal model",
        (
            "can't use the file it was given as picture projector. Name the GGUF file with 'mmproj' in its name that "
            "belongs to the model."
        ),
    ),
    (
        Kind.UNLOADABLE,
        r"error loading model[^:]*: ",
        "can't load this model. Try another file of it, a newer llama-server, or another model.",
    ),
    (
        Kind.CRASH,
        r"GGML_ASSERT|GGML_ABORT|terminate called|Fatal signal|error: Aborted",
        "found a fault in itself and gave up. Try another version of it or another model.",
    ),
)
"""In the order in which they are looked for: the cause before what it leads to."""

_COMPILED = tuple((kind, re.compile(pattern), sentence) for kind, pattern, sentence in _SIGNS)


def explain(code: int, lines: Sequence[str]) -> Ending:
    """``code``: the exit status or, negative, the signal; ``lines``: what it said."""
    if code in {-signal.SIGKILL, -signal.SIGILL}:  # from outside: what it said before has nothing to do with it
        kind = Kind.KILLED if code == -signal.SIGKILL else Kind.INSTRUCTION
        return Ending(kind, f"The engine {how_it_ended(code)}{'' if kind is Kind.KILLED else last_words(lines)}")
    if code == CONFIG_STATUS and lines:
        return Ending(Kind.CONFIG, lines[-1])
    looked_at = lines[-_LOOKED_AT:]
    for kind, pattern, sentence in _COMPILED:
        for line in reversed(looked_at):
            if code and pattern.search(line):
                return Ending(kind, f"The engine {sentence} It {_end(code)}{last_words(lines, line)}")
    if code == -signal.SIGBUS:
        return Ending(Kind.CUT_SHORT, f"The engine {how_it_ended(code)}{last_words(lines)}")
    kind = Kind.CRASH if code < 0 else Kind.OTHER
    return Ending(kind, f"The engine {how_it_ended(code)}{last_words(lines)}")


def how_it_ended(code: int) -> str:
    """A process's end in words, with what to do about it."""
    if code == -signal.SIGILL:
        return (
            "was stopped by an illegal instruction: it is built for another processor. Install a llama-server made for "
            "this machine, or leave out 'binary' to use the one that comes with camscribe."
        )
    if code == -signal.SIGKILL:
        return "was killed (SIGKILL): by somebody, or by the system because memory ran out."
    if code == -signal.SIGBUS:
        return "lost a part of a file it uses (SIGBUS): a model file was cut short, or its disk fails. Look after it."
    return _end(code)


def _end(code: int) -> str:
    if code >= 0:
        return f"ended with exit status {code}."
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"crashed ({name})."


def last_words(lines: Sequence[str], telling: str | None = None) -> str:
    """The last lines, and before them the one that tells the cause where it is not among them."""
    last = [line for line in lines if not any(word in line for word in _CHATTER)][-LAST_LINES:]
    if telling is not None and telling not in last:
        last = [telling, *last[-(LAST_LINES - 1) :]]
    words = " | ".join(last)
    if len(words) > _LONGEST_WORDS:
        words = words[:_LONGEST_WORDS] + "…" if telling in last[:1] else words[-_LONGEST_WORDS:]
    return f" Its last words: {words}." if words else " It said nothing."
