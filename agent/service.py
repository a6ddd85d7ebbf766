"""The service as a process: signals, the exit status, the end for certain, and what a supervisor needs besides."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from agent import logs
from agent.app import App, CamerasStuck, first_of
from agent.config import Config, find
from agent.errors import DataDirBusy, JournalUnavailable, Misconfigured
from agent.memory import share_one_heap

log = logging.getLogger("camscribe")

LAUNCHD_PREFIX = "org.camscribe."
LAUNCHD_PAUSE = 2.0
LOCK_PATIENCE = 15.0
LOCK_PAUSE = 0.5
END_WITHIN = 9.5
"""Seconds from SIGTERM to the end, whatever happens: ten are promised."""

Service = Callable[[asyncio.Event, Callable[[bool], None]], Awaitable[bool]]
"""Runs until the event is set; calls the other when its end begins. Both say whether it is to start again."""


async def watch(settings: Config, stop: asyncio.Event, stopping: Callable[[bool], None]) -> bool:
    """The whole service. Waits a while where the data_dir is held: perhaps by a look by itself, which ends soon."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        app = App(settings, stopping=stopping)
        loop.add_signal_handler(signal.SIGHUP, _hung_up, app, stop, sys.stdin is not None and sys.stdin.isatty())
        try:
            return await app.run(stop)
        except DataDirBusy as error:
            if stop.is_set() or loop.time() - began > LOCK_PATIENCE:
                raise
            if loop.time() - began < LOCK_PAUSE:
                log.info("%s Waiting up to %g s for it to end.", error, LOCK_PATIENCE)
            await asyncio.sleep(LOCK_PAUSE)


def _hung_up(app: App, stop: asyncio.Event, at_a_terminal: bool) -> None:
    """SIGHUP: the config is to be read again; or the terminal that camscribe was started at is gone."""
    if at_a_terminal and not sys.stdin.isatty():
        stop.set()
    else:
        app.reload()


def serve(settings: Config, service: Service, *, level: str, as_json: bool = False) -> int:
    """Run a service until a signal; the exit status tells the truth: 0 asked to stop, 1 crash, 2 config."""
    share_one_heap()
    logs.configure(level, as_json=as_json, secrets=settings.secrets)

    signals: list[int] = []

    async def until_told() -> bool:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def signalled(number: int) -> None:
            signals.append(number)
            stop.set()

        def end_for_certain(again: bool) -> None:
            """A part that won't end (a plugin that swallows its cancelling) must not keep the process from its end."""
            status = 0 if stop.is_set() else 1
            timer = threading.Timer(END_WITHIN, lambda: _leave(status, again=again and not signals))
            timer.daemon = True
            timer.start()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, signalled, number)
        return await service(stop, end_for_certain)

    try:
        again = asyncio.run(until_told())
    except Exception as error:  # noqa: BLE001 (whatever ends the service, the exit status and the log say it)
        return _ended(error)
    if again and not signals:  # who was told to end meanwhile ends
        _start_again()
    return 0


def _start_again() -> None:
    """A new camscribe in this very process, whether or not anybody supervises it."""
    logging.shutdown()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 (the command we were started with)


def _leave(status: int, *, again: bool) -> None:
    log.critical("a part of camscribe did not end within %g s of being told to; leaving without it", END_WITHIN)
    try:
        if again:
            _start_again()
    finally:
        logging.shutdown()
        os._exit(status)


def _ended(error: Exception) -> int:
    """Say why the service ended by itself; its exit status."""
    for kind, status in ((Misconfigured, 2), (JournalUnavailable, 1), (DataDirBusy, 1), (CamerasStuck, 1)):
        if found := first_of(error, kind):
            log.error("%s", found)
            return status
    log.critical("camscribe crashed: a bug", exc_info=error)
    return 1


def wait_under_launchd(path: Path | None) -> None:
    """launchd can't be told not to start us again after exit 2: so stay until the file has changed."""
    if not os.environ.get("XPC_SERVICE_NAME", "").startswith(LAUNCHD_PREFIX):
        return
    try:
        file = find(path, os.environ)
        before = file.stat().st_mtime_ns
        while file.stat().st_mtime_ns == before:
            time.sleep(LAUNCHD_PAUSE)
    except (Misconfigured, OSError):  # there is no file: launchd's own pause between starts has to do
        return
