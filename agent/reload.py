"""Takes a changed config.yaml over while the service runs: when the file has changed, or when somebody says so."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from agent.config import Config, load
from agent.config.changes import FIXED, changes, need_restart
from agent.errors import CommandRefused, Misconfigured
from agent.status import Counters

LOOK_EVERY = 1.0
"""Seconds between two looks at the file. It is read once two have found it alike."""

Fingerprint = tuple[int, int, int] | None

log = logging.getLogger("camscribe")


class Reload:
    """The one who changes what runs, one change at a time.

    A faulty file changes nothing. ``apply`` gets the config that is to run; ``again`` asks for it once more as it is,
    because cameras have been switched to other captioners.
    """

    def __init__(
        self,
        config: Config,
        apply: Callable[[Config], Awaitable[None]],
        counters: Counters,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._config = config
        self._apply = apply
        self._counters = counters
        self._environ = environ
        self._wanted = asyncio.Event()
        self._again = False
        self._read = False
        self._waiting: list[asyncio.Future[str]] = []
        self._seen: Fingerprint = None
        self._taken: Fingerprint = None
        self._faulty = False
        """The file, when it was read last; the config that runs is an older one of it."""

    def again(self) -> None:
        self._again = True
        self._wanted.set()

    def read(self) -> None:
        """Read the file now, changed or not (what it names may have changed)."""
        self._read = True
        self._wanted.set()

    async def now(self) -> str:
        """As ``read``; what came of it. Raises Misconfigured: every fault of the file."""
        if self._config.path is None:
            raise CommandRefused("This camscribe was not started with a config file.")
        told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append(told)
        self.read()
        return await told

    async def check(self) -> None:
        """Whether the file, as it is now, lets a service start. Raises CommandRefused."""
        if self._config.path is None:
            return
        try:
            await asyncio.to_thread(load, self._config.path, self._environ)
        except Misconfigured as error:
            raise CommandRefused(f"The config has faults that are to be mended first. {error}") from None

    async def run(self) -> None:
        """Forever."""
        self._taken = self._seen = await self._look()
        try:
            while True:
                await self._something()
                if self._again:
                    self._again = False
                    await self._change(self._config)
                if self._read:
                    self._read = False
                    await self._take_over()
        finally:
            for told in self._waiting:
                if not told.done():
                    told.set_exception(CommandRefused("camscribe is being stopped."))
                    told.exception()  # heard, whether or not the one who asked still waits

    async def _something(self) -> None:
        """Until somebody wants something, or the file has changed and is still again."""
        while not self._wanted.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY if self._watches else None):
                    await self._wanted.wait()
            if self._watches and await self._has_changed():
                self.read()
        self._wanted.clear()

    @property
    def _watches(self) -> bool:
        return self._config.path is not None and self._config.reload == "auto"

    async def _has_changed(self) -> bool:
        before, self._seen = self._seen, await self._look()
        return self._seen is not None and self._seen == before != self._taken

    async def _look(self) -> Fingerprint:
        path = self._config.path
        return await asyncio.to_thread(_fingerprint, path) if path else None

    async def _take_over(self) -> None:
        """Read the file, and say once what came of it."""
        asked = len(self._waiting)  # whoever comes later waits for the next time
        self._taken = self._seen = await self._look()
        try:
            told: str | Misconfigured = await self._taken_over()
        except Misconfigured as error:
            self._faulty = True
            self._counters.add("reloads_failed_total")
            *faults, closing = str(error).splitlines()
            for line in (*faults, closing.replace("nothing was started", "the config that runs goes on")):
                log.error("%s", line)  # noqa: TRY400 (a person's mistake in a file has no traceback)
            told = error
        waiting, self._waiting = self._waiting[:asked], self._waiting[asked:]
        _tell(waiting, told)

    async def _taken_over(self) -> str:
        old = self._config
        assert old.path is not None
        # The plugins are those that were found at the start: a module can't be exchanged under what runs.
        read = await asyncio.to_thread(load, old.path, self._environ, lambda _folder: old.registry)
        if fixed := need_restart(old, read):
            log.warning("%s changed in %s: that needs a restart of camscribe.", " and ".join(fixed), old.path)
        new = replace(read, registry=old.registry, **{key: getattr(old, key) for key in FIXED})
        different = changes(old, new)
        self._config = new
        # Also where nothing differs: a captioner that gave up tries again.
        await self._change(new)
        told = f"{old.path} is taken over: {', '.join(different)}." if different else f"{old.path}: nothing to change."
        if self._faulty and not different:
            told = f"{old.path} is good again, and what it says runs already."
        self._counters.add("reloads_total")
        log.log(logging.INFO if different or self._faulty else logging.DEBUG, "%s", told)
        self._faulty = False
        return told + (f" {' and '.join(fixed)} changed: that needs a restart." if fixed else "")

    async def _change(self, config: Config) -> None:
        try:
            await self._apply(config)
        except Exception:
            self._counters.add("bugs_total", part="reload")
            log.exception("a part could not be changed: a bug; the others go on")


def _tell(waiting: list[asyncio.Future[str]], what: str | Misconfigured) -> None:
    for told in waiting:
        if told.done():
            continue  # who asked has gone
        if isinstance(what, str):
            told.set_result(what)
        else:
            told.set_exception(what)


def _fingerprint(path: Path) -> Fingerprint:
    """None where there is no file just now, as while an editor writes a new one in its place."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size, facts.st_ino
