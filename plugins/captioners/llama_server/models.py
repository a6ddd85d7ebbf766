"""``camscribe model`` for the managed engine: the presets, and what else of its models is on this machine."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from agent.plugin import (
    CaptionUnavailable,
    Failure,
    Misconfigured,
    ModelInfo,
    Models,
    Progress,
)
from plugins.captioners.engine.errors import NotStarted
from plugins.captioners.llama_server import copies, hub
from plugins.captioners.llama_server.config import LlamaServerConfig
from plugins.captioners.llama_server.presets import PRESETS, Facts, Files, Hosted, hosted
from plugins.captioners.llama_server.refusals import NoRoom

WORKING_MEMORY = 500_000_000
"""Bytes that serving a model takes besides its files, roughly."""


class LlamaModels(Models):
    """Every model has its folder under ``data_dir/models``, one for each repository."""

    def __init__(self, data_dir: Path, log: logging.Logger) -> None:
        self._data_dir = data_dir
        self._log = log

    async def known(self) -> list[ModelInfo]:
        return await asyncio.to_thread(self._known)

    def asked_for(self, config: Any) -> str | None:
        assert isinstance(config, LlamaServerConfig)
        origin = config.choice.origin
        if isinstance(origin, Hosted):
            return _preset_of(origin) or str(origin)
        return next((name for name, preset in PRESETS.items() if preset.origin == origin), str(origin.model))

    async def pull(self, name: str, progress: Callable[[Progress], None]) -> Path:
        origin = await asyncio.to_thread(self._origin, name)
        try:
            files = origin if isinstance(origin, Files) else await self._fetch(origin, progress)
        except NoRoom as error:
            raise Misconfigured(str(error)) from error
        except NotStarted as error:
            raise CaptionUnavailable(Failure.ENGINE, str(error)) from error
        return files.model.parent

    async def _fetch(self, origin: Hosted, progress: Callable[[Progress], None]) -> Files:
        return await hub.fetch(origin, self._data_dir, self._log, progress)

    async def remove(self, name: str) -> int:
        origin = await asyncio.to_thread(self._origin, name)
        if isinstance(origin, Files):
            raise Misconfigured(f"{name} comes with camscribe; only what was downloaded can be deleted.")
        return await asyncio.to_thread(self._remove, origin, name)

    def _origin(self, name: str) -> Files | Hosted:
        if preset := PRESETS.get(name):
            return preset.origin
        if "/" in name:
            try:
                return hosted(name)
            except ValueError as error:
                raise Misconfigured(f"'{name}' is no model: {error}.") from None
        if (self._data_dir / "models" / name).is_dir():
            raise Misconfigured(
                f"The files in {name} are your own: name them as model and mmproj, delete them yourself."
            )
        near = get_close_matches(name.lower()[:100], PRESETS, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise Misconfigured(
            f"There is no model '{name}'.{hint} There are {', '.join(PRESETS)}, and owner/repo:quantisation of "
            "anything on Hugging Face."
        )

    def _known(self) -> list[ModelInfo]:
        presets = [self._preset(name) for name in PRESETS]
        return presets + [self._other(origin) for origin in self._others()] + list(self._own())

    def _preset(self, name: str) -> ModelInfo:
        preset = PRESETS[name]
        facts = preset.facts
        assert isinstance(facts, Facts)
        if isinstance(preset.origin, Files):
            here = sum(file.stat().st_size for file in (preset.origin.model, preset.origin.mmproj))
            return ModelInfo(name, facts.about, facts.download, facts.memory, here, complete=True)
        here, complete = self._here(preset.origin)
        return ModelInfo(name, facts.about, here if complete else facts.download, facts.memory, here, complete)

    def _here(self, origin: Hosted) -> tuple[int, bool]:
        folder = hub.folder_of(origin.repo, self._data_dir)
        plan = hub.Plan.read(hub.plan_of(origin, self._data_dir))
        return (plan.here(folder), plan.complete(folder)) if plan else (0, False)

    def _others(self) -> Iterator[Hosted]:
        """What was downloaded by its repository's name."""
        for path in sorted((self._data_dir / "models").glob("*/*.json")):
            plan = hub.Plan.read(path)
            if plan:
                origin = Hosted(plan.repo or path.parent.name.replace("--", "/", 1), path.stem)
                if _preset_of(origin) is None:
                    yield origin

    def _other(self, origin: Hosted) -> ModelInfo:
        here, complete = self._here(origin)
        plan = hub.Plan.read(hub.plan_of(origin, self._data_dir))
        download = sum(entry.size for entry in plan.files) if plan else 0
        return ModelInfo(
            str(origin),
            f"From Hugging Face, by its name: hf: {origin}",
            download or here,
            (download or here) + WORKING_MEMORY,
            here,
            complete,
        )

    def _own(self) -> Iterator[ModelInfo]:
        """Folders of GGUF files that somebody put there."""
        for folder in sorted(path for path in (self._data_dir / "models").glob("*") if path.is_dir()):
            files = sorted(folder.glob("*.gguf"))
            if not files or any(hub.Plan.read(path) for path in folder.glob("*.json")):
                continue
            projectors = [path for path in files if "mmproj" in path.name.lower()]
            models = [path for path in files if path not in projectors]
            size = sum(path.stat().st_size for path in files)
            about = (
                f"Your own files: model: {models[0]}, mmproj: {projectors[0]}"
                if models and projectors
                else f"Your own files, but {'an mmproj file' if models else 'a language model'} is missing."
            )
            whole = bool(models and projectors)
            yield ModelInfo(folder.name, about, size, size + WORKING_MEMORY, size, complete=whole)

    def _remove(self, origin: Hosted, name: str) -> int:
        folder, path = hub.folder_of(origin.repo, self._data_dir), hub.plan_of(origin, self._data_dir)
        with self._locked(origin):
            plan = hub.Plan.read(path)
            if plan is None:
                raise Misconfigured(f"Nothing of {name} is on this machine (looked in {folder}).")
            places = (folder, self._data_dir / copies.FOLDER)
            before = sum(map(_size_of, places))
            path.unlink()
            if any(hub.Plan.read(other) for other in folder.glob("*.json")):
                self._remove_files(plan, folder)
            else:
                copies.remove((folder / entry.name for entry in plan.files), self._data_dir)
                shutil.rmtree(folder)
            return before - sum(map(_size_of, places))

    def _remove_files(self, plan: hub.Plan, folder: Path) -> None:
        """Those that no other plan in the folder needs, with what is left of their download."""
        needed = {entry.name for entry in hub.planned(folder)}
        for entry in plan.files:
            if entry.name not in needed:
                for path in (folder / entry.name, entry.partial(folder)):
                    path.unlink(missing_ok=True)
                copies.remove([folder / entry.name], self._data_dir)

    @contextmanager
    def _locked(self, origin: Hosted) -> Iterator[None]:
        place = hub.lock_of(origin.repo, self._data_dir)
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Misconfigured(
                    f"{origin} is being downloaded by another camscribe just now. Stop that first."
                ) from None
            yield
            place.unlink()  # a fetcher that waits for it looks twice


def _preset_of(origin: Hosted) -> str | None:
    for name, preset in PRESETS.items():
        known = preset.origin
        if isinstance(known, Hosted) and (known.repo, known.quant) == (origin.repo, origin.quant):
            return name
    return None


def _size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
