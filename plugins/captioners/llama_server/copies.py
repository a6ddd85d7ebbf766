"""Copies of a model's files as this machine serves them best.

On a processor the picture's encoding is nine tenths of a caption. One that multiplies BF16 numbers itself does it a
quarter faster with a projector of these, where the engine's code makes use of that.

A SmolVLM's projector says that every picture is to be enlarged and cut into up to twelve tiles. The copy doesn't, so
that the size of the picture that is sent decides: one tile, or four at ``detail: high``. A budget of tokens on the
server could only set the same for all cameras, and older builds have none.

How one tile is encoded once and not twice is in once.py.
"""

from __future__ import annotations

import asyncio
import glob
import hashlib
import json
import logging
import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import astuple, dataclass
from enum import StrEnum
from pathlib import Path

from plugins.captioners.llama_server.binary import Found
from plugins.captioners.llama_server.gguf import CUTS, PROJECTOR, cuts_every_picture

FOLDER = "copies"
"""In the data_dir."""
SCRIPT = Path(__file__).with_name("rewrite.py")
"""Not imported: it brings in the gguf package."""
WITHIN = 300.0
WORTH_IT = 32_000_000
"""Bytes: a smaller projector is quick as it is."""
SPARE = 500_000_000
"""Bytes that stay free on the disk."""
FORGET_AFTER = 30 * 86400
VERSION = 2
"""Of what a copy is like; another one, and old copies are made anew."""


class NumberType(StrEnum):
    """What the projector's weights may be."""

    AUTO = "auto"
    AS_IS = "as_is"
    BF16 = "bf16"
    F16 = "f16"
    Q8_0 = "q8_0"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the copy is to be like."""

    type: str | None = None
    """None: the numbers stay as they are."""
    uncut: bool = False
    projector: str | None = None
    """Another kind of projector that it says it is, with two layers in place of one matrix."""
    tokens: tuple[tuple[str, str], ...] = ()
    """A language model's tokens, and the names they get."""

    def __bool__(self) -> bool:
        return self != Wish()

    def __str__(self) -> str:
        """As a part of a file's name."""
        numbers = (self.type or "same").lower()
        return f"once-{numbers}" if self.projector or self.tokens else numbers


class _Failed(Exception):
    pass


_told: set[tuple[Path, str]] = set()
"""Files that can't be copied and why, once that was said: it is the same at each start."""


def wish(kind: NumberType, source: Path, engine: Found, *, on_gpu: bool) -> Wish:
    """What is best for this projector on this machine. Reads the file's header. Raises ValueError, OSError."""
    uncut = cuts_every_picture(source)
    if kind is NumberType.AS_IS:
        return Wish(None, uncut)
    if kind is not NumberType.AUTO:
        return Wish(kind.value.upper(), uncut)
    fast = "AVX512_BF16" in engine.features and not on_gpu
    return Wish("BF16" if fast and source.stat().st_size >= WORTH_IT else None, uncut)


async def prepared(source: Path, wanted: Wish, folder: Path, log: logging.Logger, *, loud: bool = True) -> Path:
    """The copy, made where there is none yet; the file itself where that fails. Told to everybody where ``loud``."""
    try:
        target = await asyncio.to_thread(_target, source, wanted, folder)
        if not await asyncio.to_thread(_kept, target):
            began = time.monotonic()
            await asyncio.to_thread(_room, source, wanted, folder)
            await _write(source, wanted, target)
            took, size = time.monotonic() - began, (await asyncio.to_thread(target.stat)).st_size
            log.log(
                logging.INFO if loud else logging.DEBUG,
                "made a copy of %s (%.0f MB) for this machine in %.1f s: %s",
                source.name,
                size / 1e6,
                took,
                target,
            )
        await asyncio.to_thread(_forget, source, wanted, target)
    except (_Failed, OSError) as error:
        reason = str(error) if isinstance(error, _Failed) else f"{error.strerror or error}."
        log.log(
            logging.WARNING if loud and (source, reason) not in _told else logging.DEBUG,
            "%s is used as it is, as no copy of it could be made for this machine: %s Captions take longer so.",
            source.name,
            reason,
        )
        _told.add((source, reason))
        return source
    return target


def copies_of(source: Path, folder: Path, kind: str = "*") -> Iterable[Path]:
    """Every copy that was made of it, or those of that kind, whatever the file was like then. Blocks."""
    return folder.glob(f"{glob.escape(source.stem)}-{kind}-{_place(source)}-*.gguf")


def remove(sources: Iterable[Path], data_dir: Path) -> None:
    """Every copy that was made of these files. Blocks."""
    for source in sources:
        for path in copies_of(source, data_dir / FOLDER):
            path.unlink(missing_ok=True)


def _target(source: Path, wanted: Wish, folder: Path) -> Path:
    stat = source.stat()
    facts = [VERSION, stat.st_size, stat.st_mtime_ns, astuple(wanted)]
    return folder / f"{source.stem}-{wanted}-{_place(source)}-{_digest(facts)}.gguf"


def _place(source: Path) -> str:
    """Many a model's projector is called mmproj-F16.gguf."""
    return _digest(str(source.resolve()))


def _digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _kept(target: Path) -> bool:
    """It is there; its time says when it was last of use."""
    if not target.is_file():
        return False
    with suppress(OSError):  # a disk that is only read forgets nothing
        os.utime(target)
    return True


def _room(source: Path, wanted: Wish, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    needed = source.stat().st_size * (2 if wanted.type in {"BF16", "F16"} else 1) + SPARE
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise _Failed(f"{folder} has {free // 1_000_000} MB free, and {needed // 1_000_000} MB are needed.")


async def _write(source: Path, wanted: Wish, target: Path) -> None:
    """Under a name of its own first: there is never half a copy, and two captioners may make the same one at once."""
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    order = {
        "source": str(source),
        "target": str(part),
        "type": wanted.type,
        "keys": ({CUTS: 0} if wanted.uncut else {}) | ({PROJECTOR: wanted.projector} if wanted.projector else {}),
        "tokens": dict(wanted.tokens),
        "two_layers": wanted.projector is not None,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", str(SCRIPT), json.dumps(order)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(WITHIN):
            _, said = await process.communicate()
        if process.returncode:
            raise _Failed(f"{_last_line(said) or f'exit status {process.returncode}'}.")
        await asyncio.to_thread(part.replace, target)
    except TimeoutError:
        raise _Failed(f"It took longer than {WITHIN:g} s.") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await asyncio.to_thread(part.unlink, missing_ok=True)


def _last_line(said: bytes) -> str:
    return said.decode("utf-8", "replace").strip().rpartition("\n")[2][:300]


def _forget(source: Path, wanted: Wish, target: Path) -> None:
    """Copies of what this file was before, any that nobody has used for long, and what was never finished."""
    before, now = set(copies_of(source, target.parent, str(wanted))), time.time()
    for pattern, age in (("*.gguf", FORGET_AFTER), (".*.part", 2 * WITHIN)):
        for path in target.parent.glob(pattern):
            with suppress(OSError):  # another captioner forgets as well; a disk that is only read doesn't
                if path != target and (path in before or now - path.stat().st_mtime > age):
                    path.unlink()
