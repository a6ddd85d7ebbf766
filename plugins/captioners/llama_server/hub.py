"""Models from Hugging Face: which files of a repository are meant, where they are kept, and their download.

Whichever engine serves them, we download them: the one in the wheel can't, and a llama-server that downloads answers
nobody for minutes. A broken download goes on where it stopped; a file counts once its checksum is right. Files that
are here are used without asking anybody.
"""

from __future__ import annotations

import asyncio
import glob
import json
import logging
import re
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from agent.plugin import Misconfigured, Progress
from plugins.captioners.engine.errors import NotStarted
from plugins.captioners.llama_server.downloader import Downloader
from plugins.captioners.llama_server.presets import Files, Hosted
from plugins.captioners.llama_server.refusals import OWN_FILES, Damaged, NoRoom

MARGIN = 256_000_000
"""Bytes of the disk that a download leaves alone: the journal needs some."""
TRIES = 2
"""A file with the wrong checksum is fetched once more; a mirror that keeps sending it must not run up a bill."""
LONGEST_NAME = 200
"""Bytes; file systems take 255, and a partial file's name is longer."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})$")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a repository."""

    path: str
    size: int
    sha256: str | None = None

    @property
    def makes_sense(self) -> bool:
        """As a repository's list has it: nothing that can't be a file here."""
        named = isinstance(self.path, str) and self.path.isprintable() and len(self.name.encode()) <= LONGEST_NAME
        sized = isinstance(self.size, int) and self.size >= 0
        return named and sized and (self.sha256 is None or bool(_SHA256.fullmatch(str(self.sha256))))

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    def partial(self, folder: Path) -> Path:
        """What of it is here; another version of the file has another one."""
        return folder / f"{self.name}.{(self.sha256 or 'x')[:8]}.part"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be downloaded, as ``<quantisation>.json`` beside the files says it."""

    repo: str
    commit: str | None
    model: str
    mmproj: str
    files: tuple[Entry, ...]
    """Both, and the model's further parts where it is split."""

    @classmethod
    def read(cls, path: Path) -> Plan | None:
        try:
            said = json.loads(path.read_text("utf-8"))
            files = tuple(Entry(**entry) for entry in said.get("files", ()))
            return cls(said.get("repo", ""), said.get("commit"), said["model"], said["mmproj"], files)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self, path: Path) -> None:
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(self), indent=1), "utf-8")
        new.replace(path)

    def complete(self, folder: Path) -> bool:
        """Whether every file is here; one gets its name when its checksum is right."""
        whole = all(_size(folder / entry.name) == entry.size for entry in self.files)
        return whole and all((folder / name).is_file() for name in (self.model, self.mmproj))

    def here(self, folder: Path) -> int:
        """Bytes of it on this machine."""
        names = {self.model, self.mmproj, *(entry.name for entry in self.files)}
        whole = sum(_size(folder / name) for name in names)
        return whole + sum(_size(entry.partial(folder)) for entry in self.files)


def on_disk(origin: Files | Hosted, data_dir: Path) -> Files | None:
    """The files, where they are here whole."""
    if isinstance(origin, Files):
        return origin
    folder = folder_of(origin.repo, data_dir)
    plan = Plan.read(plan_of(origin, data_dir))
    if plan is None or not plan.complete(folder):
        return None
    return Files(folder / plan.model, folder / plan.mmproj)


def folder_of(repo: str, data_dir: Path) -> Path:
    return data_dir / "models" / repo.replace("/", "--")


def plan_of(origin: Hosted, data_dir: Path) -> Path:
    return folder_of(origin.repo, data_dir) / f"{origin.quant}.json"


def lock_of(repo: str, data_dir: Path) -> Path:
    """Beside the folder, which may be deleted under it."""
    return data_dir / "models" / f".{repo.replace('/', '--')}.lock"


async def fetch(
    origin: Hosted, data_dir: Path, log: logging.Logger, progress: Callable[[Progress], None] = lambda _: None
) -> Files:
    """The files, downloaded where they are not here yet.

    Raises NotStarted (also NoRoom), and Misconfigured where trying again is no use.
    """
    here = await asyncio.to_thread(on_disk, origin, data_dir)
    if here is not None:
        return here
    folder = folder_of(origin.repo, data_dir)
    try:
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        async with Downloader(origin, log) as downloader:
            await downloader.lock(lock_of(origin.repo, data_dir), progress)
            here = await asyncio.to_thread(on_disk, origin, data_dir)  # whoever had the lock may have fetched it
            return here or await _download(downloader, origin, data_dir, log, progress)
    except OSError as error:
        raise NotStarted(f"The model {origin} can't be written to {folder}: {error.strerror or error}.") from error


async def _download(
    downloader: Downloader,
    origin: Hosted,
    data_dir: Path,
    log: logging.Logger,
    progress: Callable[[Progress], None],
) -> Files:
    folder = folder_of(origin.repo, data_dir)
    commit, listed = await downloader.listing()
    entries = [Entry(**entry) for entry in listed]
    if not all(entry.makes_sense for entry in entries):
        raise NotStarted(f"The list of the files in {origin.repo} makes no sense.")
    model, mmproj = choose(origin, entries)
    plan = Plan(origin.repo, commit, model[0].name, mmproj.name, (*model, mmproj))
    _told_apart(plan)
    missing = await asyncio.to_thread(_begin, plan, origin, data_dir)
    log.info("downloading %s (%s) into %s", origin, _text(sum(entry.size for entry in plan.files)), folder)
    for entry in missing:
        await _get(downloader, entry, plan, folder, log, progress)
    log.info("downloaded %s", origin)
    return Files(folder / plan.model, folder / plan.mmproj)


async def _get(
    downloader: Downloader,
    entry: Entry,
    plan: Plan,
    folder: Path,
    log: logging.Logger,
    progress: Callable[[Progress], None],
) -> None:
    order = {"path": entry.path, "commit": plan.commit, "size": entry.size, "sha256": entry.sha256}
    order |= {"to": str(folder / entry.name), "partial": str(entry.partial(folder))}
    for attempt in range(1, TRIES + 1):
        try:
            await downloader.get(order, lambda done: progress(Progress(entry.name, done, entry.size)))
        except Damaged as error:
            if attempt == TRIES:
                raise Misconfigured(str(error)) from None
            log.warning("%s It is fetched once more.", error)
        else:
            return


def choose(origin: Hosted, entries: Sequence[Entry]) -> tuple[list[Entry], Entry]:
    """The model in the quantisation meant (all its parts), and its projector."""
    by_path = {entry.path: entry for entry in entries}
    files = sorted(path for path in by_path if path.lower().endswith(".gguf"))
    projectors = [path for path in files if "mmproj" in path.lower()]
    models = [path for path in files if path not in projectors and "imatrix" not in path.lower()]
    model = _named(models, origin.quant)
    if model is None:
        there = ", ".join(path.rpartition("/")[2] for path in models[:20]) or "none"
        raise Misconfigured(f"{origin.repo} has no model file for '{origin.quant}'; its model files: {there}.")
    if not projectors:
        raise Misconfigured(f"{origin.repo} has no mmproj file, so its model can't see pictures. Choose another one.")
    wanted = [quant for quant in (origin.mmproj, origin.quant, "F16", "BF16", "Q8_0") if quant]
    mmproj = next((path for quant in wanted if (path := _named(projectors, quant))), projectors[0])
    return [by_path[path] for path in _parts(model, models, origin.repo)], by_path[mmproj]


def _named(paths: Sequence[str], quant: str) -> str | None:
    """The one that ends in it, as nearly all do, else one that has it further ahead (moondream's)."""
    stems = {path: _SHARD.sub("", path.rpartition("/")[2].lower().removesuffix(".gguf")) for path in paths}
    word = re.escape(quant.lower())
    for pattern in (rf"(^|[-._]){word}$", rf"(^|[-._]){word}(?=[-.]|_(?!xs|s|m|l|xl|xxs|\d))"):
        found = next((path for path in paths if re.search(pattern, stems[path])), None)
        if found:
            return found
    return None


def _parts(model: str, models: Sequence[str], repo: str) -> list[str]:
    stem = model.removesuffix(".gguf")
    shard = _SHARD.search(stem)
    if shard is None:
        return [model]
    parts = [path for path in models if _SHARD.sub("", path.removesuffix(".gguf")) == _SHARD.sub("", stem)]
    if len(parts) != int(shard[2]):
        raise Misconfigured(f"{repo} has {len(parts)} of the {int(shard[2])} parts of {model}. Choose another one.")
    return parts


def _told_apart(plan: Plan) -> None:
    """They are kept in one folder, whatever folders the repository has."""
    for name, count in Counter(entry.name for entry in plan.files).items():
        if count > 1:
            raise Misconfigured(f"{plan.repo} has several files called {name}, in folders of their own: {OWN_FILES}.")


def _begin(plan: Plan, origin: Hosted, data_dir: Path) -> list[Entry]:
    """What is missing, with room made sure of and what is of no use any more gone. Raises NoRoom."""
    folder, path = folder_of(origin.repo, data_dir), plan_of(origin, data_dir)
    known = {entry.name: entry.sha256 for entry in planned(folder)}
    missing = [
        entry
        for entry in plan.files
        if _size(folder / entry.name) != entry.size or known.get(entry.name) != entry.sha256
    ]
    _make_room(folder, sum(max(0, entry.size - _size(entry.partial(folder))) for entry in missing), origin)
    for entry in missing:
        for old in (folder / entry.name, *folder.glob(f"{glob.escape(entry.name)}.*.part")):
            if old != entry.partial(folder):
                old.unlink(missing_ok=True)
    plan.write(path)
    return missing


def planned(folder: Path) -> list[Entry]:
    """Every file that some plan in the folder knows."""
    plans = (Plan.read(path) for path in folder.glob("*.json"))
    return [entry for plan in plans if plan for entry in plan.files]


def _make_room(folder: Path, needed: int, origin: Hosted) -> None:
    free = free_bytes(folder)
    if free < needed + MARGIN:
        raise NoRoom(
            f"{origin} needs {_text(needed)} more, and {_text(MARGIN)} are to stay free, but the disk of "
            f"{folder} has {_text(free)} free. Make room there, choose a smaller model, or set data_dir to a "
            "place on a larger disk."
        )


def free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _text(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0
