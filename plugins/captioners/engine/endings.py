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
_CHATTER = re.compile(r"\bslot\s+(print_timing|release|get_availabl|launch_slot)")
"""llama.cpp's lines about each caption, which look like a fault to who doesn't know them."""
_FROM_OUTSIDE = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP}
_BY_A_SHELL = 128
"""Added to the signal by a shell script that has started the engine without 'exec'."""
_INSTEAD = "or, where the config names this one as 'binary', leave that out to use the one that comes with camscribe."


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

    @property
    def blames_files(self) -> bool:
        """A file of the model may be why, and another one may do."""
        return self in _OF_FILES


_PASSING = {  # keep trying; with all others somebody has to do something first
    Kind.MEMORY,
    Kind.KILLED,
    Kind.ADDRESS,
    Kind.DISK,
    Kind.SLOW,
    Kind.HANGS,
    Kind.OTHER,
}


_OF_FILES = {
    Kind.CORRUPT,
    Kind.CUT_SHORT,
    Kind.MISSING,
    Kind.UNREADABLE,
    Kind.UNLOADABLE,
    Kind.NO_MODEL,
    Kind.NO_MMPROJ,
    Kind.OTHER_MMPROJ,
    Kind.TOO_NEW,
    Kind.CRASH,
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
        f"lacks a library of the system. Install what it names, {_INSTEAD}",
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
    if _BY_A_SHELL < code < _BY_A_SHELL + signal.NSIG:
        code = _BY_A_SHELL - code
    if code in _FROM_OUTSIDE:  # what it said before has nothing to do with it
        return Ending(Kind.KILLED, f"The engine {how_it_ended(code)}")
    if code == CONFIG_STATUS and lines:
        return Ending(Kind.CONFIG, lines[-1])
    if (told := _told(code, lines)) is not None:
        return told
    known = {-signal.SIGILL: Kind.INSTRUCTION, -signal.SIGBUS: Kind.CUT_SHORT}
    kind = known.get(code, Kind.CRASH if code < 0 else Kind.OTHER)
    # A llama-server that was told to end does so as if all were well.
    how = how_it_ended(code) if code else "ended as if it had been told to (exit status 0)."
    return Ending(kind, f"The engine {how}{last_words(lines)}")


def _told(code: int, lines: Sequence[str]) -> Ending | None:
    """The cause that its lines tell, where they can have to do with such an end."""
    if code in {0, -signal.SIGILL}:
        return None
    for kind, pattern, sentence in _COMPILED:
        for line in reversed(lines[-_LOOKED_AT:]):
            if pattern.search(line):
                return Ending(kind, f"The engine {sentence} It {_end(code)}{last_words(lines, line)}")
    return None


def how_it_ended(code: int) -> str:
    """A process's end in words, with what to do about it."""
    if code == -signal.SIGILL:
        return (
            "was stopped by an illegal instruction: it is built for another processor. Install a llama-server made for "
            f"this machine, {_INSTEAD}"
        )
    if code == -signal.SIGKILL:
        return "was killed (SIGKILL): by somebody, or by the system because memory ran out."
    if code == -signal.SIGBUS:
        return "lost a part of a file it uses (SIGBUS): a model file was cut short, or its disk fails. Look after it."
    if code in _FROM_OUTSIDE:
        return f"was told to end ({_named(code)}), and not by camscribe."
    return _end(code)


def _end(code: int) -> str:
    return f"ended with {_named(code)}." if code >= 0 else f"crashed ({_named(code)})."


def _named(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def last_words(lines: Sequence[str], telling: str | None = None) -> str:
    """The last lines, and before them the one that tells the cause where it is not among them."""
    last = [line for line in lines if not _CHATTER.search(line)][-LAST_LINES:]
    if telling is not None and telling not in last:
        last = [telling, *last[-(LAST_LINES - 1) :]]
    words = " | ".join(last)
    if len(words) > _LONGEST_WORDS:
        words = words[:_LONGEST_WORDS] + "…" if telling in last[:1] else words[-_LONGEST_WORDS:]
    return f" Its last words: {words}." if words else " It said nothing."
