"""Models from Hugging Face: which files of a repository are meant, and their download.

We download them ourselves, whichever engine serves them: the one in the wheel can't, and a llama-server that downloads
answers nobody for minutes. A broken download goes on where it stopped; a file counts once its checksum is right.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from agent.plugin import Misconfigured
from plugins.captioners.llama_server.errors import NotStarted
from plugins.captioners.llama_server.presets import Files, Hosted

HUB = "https://huggingface.co"
SILENCE = 30.0
"""Seconds without a byte after which a download is given up for now."""
MOST_LISTING = 8 << 20


class _Lfs(BaseModel):
    oid: str


class _Entry(BaseModel):
    path: str
    size: int = 0
    lfs: _Lfs | None = None


@dataclass(frozen=True, slots=True)
class _Part:
    """A file on its way: ``path`` when it is whole, ``partial`` until then."""

    entry: _Entry
    path: Path

    @property
    def partial(self) -> Path:
        return self.path.with_name(f"{self.path.name}.part")


def on_disk(origin: Files | Hosted, data_dir: Path) -> Files | None:
    """The files, where they are here whole."""
    if isinstance(origin, Files):
        return origin
    folder = _folder(origin, data_dir)
    try:
        names = json.loads(_manifest(origin, folder).read_text("utf-8"))
        files = Files(folder / names["model"], folder / names["mmproj"])
    except (OSError, ValueError, KeyError):
        return None
    return files if files.model.is_file() and files.mmproj.is_file() else None


async def fetch(origin: Hosted, data_dir: Path, log: logging.Logger, progress: Callable[[str], None]) -> Files:
    """The files, downloaded where they are not here yet. Raises NotStarted, and Misconfigured where there are none."""
    here = await asyncio.to_thread(on_disk, origin, data_dir)
    if here is not None:
        return here
    token = os.environ.get("HF_TOKEN")
    async with httpx.AsyncClient(
        base_url=os.environ.get("HF_ENDPOINT") or HUB,
        headers={"Authorization": f"Bearer {token}"} if token else {},
        follow_redirects=True,
        timeout=SILENCE,
    ) as http:
        try:
            return await _download(http, origin, _folder(origin, data_dir), log, progress)
        except httpx.TransportError as error:
            raise NotStarted(
                f"The model {origin} is not on this machine yet, and Hugging Face can't be reached "
                f"({type(error).__name__}). Check the network, or name your own files as model and mmproj."
            ) from None
        except OSError as error:
            raise NotStarted(
                f"The model {origin} can't be written to {data_dir}: {error.strerror or error}."
            ) from error


async def _download(
    http: httpx.AsyncClient, origin: Hosted, folder: Path, log: logging.Logger, progress: Callable[[str], None]
) -> Files:
    entries = await _listing(http, origin)
    model, mmproj = choose(origin, {entry.path: entry for entry in entries})
    parts = [_Part(entry, folder / entry.path.rpartition("/")[2]) for entry in (model, mmproj)]
    await asyncio.to_thread(_make_room, folder, sum(part.entry.size for part in parts), origin)
    log.info("downloading %s (%.0f MB) into %s", origin, (model.size + mmproj.size) / 1e6, folder)
    for part in parts:
        if not await asyncio.to_thread(part.path.is_file):
            await _fetch_file(http, origin, part, progress)
    names = json.dumps({"model": parts[0].path.name, "mmproj": parts[1].path.name})
    await asyncio.to_thread(_manifest(origin, folder).write_text, names, "utf-8")
    log.info("downloaded %s", origin)
    return Files(parts[0].path, parts[1].path)


async def _listing(http: httpx.AsyncClient, origin: Hosted) -> list[_Entry]:
    response = await http.get(f"/api/models/{origin.repo}/tree/main", params={"recursive": "true"})
    _check(response, origin)
    try:
        return TypeAdapter(list[_Entry]).validate_json(response.content[:MOST_LISTING])
    except ValidationError:
        raise NotStarted(f"Hugging Face's list of the files in {origin.repo} makes no sense.") from None


def _check(response: httpx.Response, origin: Hosted) -> None:
    if response.status_code in {401, 403, 404}:
        raise Misconfigured(
            f"Hugging Face has no repository {origin.repo} that everybody may read. Check its spelling; for one that "
            "needs an account, set HF_TOKEN."
        )
    if response.is_error:
        raise NotStarted(f"Hugging Face failed to send {origin.repo} (HTTP {response.status_code}).")


def choose(origin: Hosted, entries: dict[str, _Entry]) -> tuple[_Entry, _Entry]:
    """The model in the quantisation meant, and its projector: the same quantisation, else F16, else what there is."""
    files = sorted(path for path in entries if path.lower().endswith(".gguf"))
    projectors = [path for path in files if "mmproj" in path.lower()]
    models = [path for path in files if path not in projectors]
    model = next((path for path in models if _is(path, origin.quant)), None)
    if model is None:
        there = ", ".join(path.rpartition("/")[2] for path in models) or "none"
        raise Misconfigured(f"{origin.repo} has no model file for '{origin.quant}'; its model files: {there}.")
    if not projectors:
        raise Misconfigured(f"{origin.repo} has no mmproj file, so its model can't see pictures. Choose another one.")
    for quant in (origin.quant, "F16", "BF16"):
        for path in projectors:
            if _is(path, quant):
                return entries[model], entries[path]
    return entries[model], entries[projectors[0]]


def _is(path: str, quant: str) -> bool:
    """``…-Q8_0.gguf`` is Q8_0; ``…-BF16.gguf`` is not F16."""
    stem = path.lower().removesuffix(".gguf")
    return stem.endswith(("-" + quant.lower(), "." + quant.lower(), "_" + quant.lower()))


async def _fetch_file(http: httpx.AsyncClient, origin: Hosted, part: _Part, progress: Callable[[str], None]) -> None:
    file = await asyncio.to_thread(part.partial.open, "ab")
    try:
        headers = {"Accept-Encoding": "identity"}
        if file.tell():
            headers["Range"] = f"bytes={file.tell()}-"
        url = f"/{origin.repo}/resolve/main/{part.entry.path}"
        async with http.stream("GET", url, headers=headers) as response:
            if response.status_code != httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:  # else it is whole already
                _check(response, origin)
                if response.status_code != httpx.codes.PARTIAL_CONTENT:
                    await asyncio.to_thread(file.truncate, 0)
                await _receive(response, file, part, progress)
    finally:
        await asyncio.to_thread(file.close)
    await asyncio.to_thread(_accept, part, origin)


async def _receive(response: httpx.Response, file: BinaryIO, part: _Part, progress: Callable[[str], None]) -> None:
    async for chunk in response.aiter_raw():
        await asyncio.to_thread(file.write, chunk)
        if part.entry.size:
            progress(f"downloading {part.path.name}, {100 * file.tell() // part.entry.size} %")


def _accept(part: _Part, origin: Hosted) -> None:
    """Give the file its name, once it is what the repository says it is."""
    with part.partial.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = part.partial.stat().st_size
    wrong_sum = part.entry.lfs is not None and digest != part.entry.lfs.oid
    if wrong_sum or (part.entry.size and size != part.entry.size):
        if size >= part.entry.size:  # a shorter one goes on from here the next time
            part.partial.unlink()
        raise NotStarted(f"The download of {part.path.name} from {origin.repo} is incomplete or damaged.")
    part.partial.rename(part.path)


def _make_room(folder: Path, needed: int, origin: Hosted) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise NotStarted(f"{origin} needs {needed / 1e6:.0f} MB, and {folder} has {free / 1e6:.0f} MB free.")


def _folder(origin: Hosted, data_dir: Path) -> Path:
    return data_dir / "models" / origin.repo.replace("/", "--")


def _manifest(origin: Hosted, folder: Path) -> Path:
    return folder / f"{origin.quant}.json"
