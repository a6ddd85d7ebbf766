"""One output's deliveries: handed out in order, confirmed, on time, and offered again after an outage."""

from __future__ import annotations

import asyncio
import logging
import random
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from agent.clock import Clock
from agent.errors import CamscribeError, JournalUnavailable, ObservationRefused, OutputUnavailable, Unavailable
from agent.journal import Journal
from agent.journal.reader import Reader
from agent.plugin import Output
from agent.status import Counters, Outage
from agent.values import Delivery

LONGEST_PAUSE = 60.0
LONGEST_RETRY_AFTER = 3600.0
GRACE = 5.0
"""Seconds that an output which is cancelled has to end."""
MOST_BUGS = 5
"""The same bug so often on one observation: that one is put aside."""
REFUSALS_SAID = 5
"""In a row; a target that refuses everything would fill the log."""


class Courier:
    """Runs one output, forever, whatever becomes of its target. Each goes through the journal at its own pace."""

    def __init__(
        self,
        output: Output[Any],
        name: str,
        journal: Journal,
        *,
        backlog: Literal["all", "latest"],
        expire: float | None,
        timeout: float,
        cameras: Collection[str] | None,
        clock: Clock,
        counters: Counters,
        log: logging.Logger,
    ) -> None:
        """A new output starts at now: with what is recorded from here on."""
        self.name = name
        self.problem: str | None = None
        """What is wrong just now, as a sentence; None once something has been delivered."""
        self._output = output
        self._timeout = timeout
        self._clock = clock
        self._counters = counters
        self._log = log
        self._reader = Reader(
            journal,
            name,
            cameras=cameras,
            backlog=backlog,
            expire=float("inf") if expire is None else expire,
            clock=clock,
            counters=counters,
            log=log,
        )
        self._outage = Outage(f"Output {name}", log, clock)
        self._failures = 0
        self._bugs: Counter[tuple[int | None, str]] = Counter()
        self._refusals = 0
        self._stop = asyncio.Event()

    @property
    def waiting(self) -> int:
        """About how many observations it has not confirmed yet."""
        return self._reader.waiting

    def stop(self) -> None:
        """The deliveries end; ``run`` returns once the output has said goodbye."""
        self._stop.set()
        self._reader.stop()

    def close(self) -> None:
        """Once ``run`` has ended: it is not needed any more."""
        self._reader.close()

    async def run(self) -> None:
        """Until ``stop``. Cancelled, it ends within a few seconds whatever the output does."""
        try:
            async with asyncio.TaskGroup() as group:
                saver = group.create_task(self._keep_saved(), name=f"cursor of {self.name}")
                while not self._stop.is_set():
                    await self._pause(await self._session())
                saver.cancel()
        finally:
            with suppress(JournalUnavailable):  # the journal said so; what is not saved is delivered again
                await self._reader.save()

    async def _keep_saved(self) -> None:
        while True:
            try:
                await self._reader.keep_saved()
            except JournalUnavailable:
                await self._clock.sleep(LONGEST_PAUSE)

    async def _session(self) -> float:
        """One call of ``deliver``, to its end; the seconds to wait before the next."""
        began = self._clock.now().monotonic
        self._reader.catch_up()
        session = _Session(self._reader, self._timeout, self._delivered, self._log)
        error = await session.run(self._output)
        if self._clock.now().monotonic - began > LONGEST_PAUSE:
            self._failures = 0
        if error is not None:
            return self._failed(error, session.handed)
        if self._stop.is_set():
            return 0.0
        return self._unavailable(OutputUnavailable("it ended by itself"))

    async def _pause(self, seconds: float) -> None:
        """Or until ``stop``."""
        if seconds > 0 and not self._stop.is_set():
            waits = {asyncio.create_task(self._clock.sleep(seconds)), asyncio.create_task(self._stop.wait())}
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()

    def _delivered(self) -> None:
        self._counters.add("delivered_total", output=self.name)
        self._outage.ends()
        if self._refusals > REFUSALS_SAID:
            self._log.info("Output %s takes observations again; it refused %d", self.name, self._refusals)
        self.problem = None
        self._failures = self._refusals = 0
        self._bugs.clear()

    def _failed(self, error: BaseException, handed: Delivery | None) -> float:
        """Which of the three kinds it is; a bug hides behind no other."""
        errors = list(_leaves(error))
        outside: tuple[type[BaseException], ...] = (
            Unavailable,
            ConnectionError,
            TimeoutError,
            *self._output.unavailable,
        )
        refusals = [e for e in errors if isinstance(e, ObservationRefused)] if handed is not None else []
        bugs = [e for e in errors if e not in refusals and not isinstance(e, outside)]
        if bugs:
            return self._bug(bugs[0], handed)
        if len(refusals) < len(errors):
            return self._unavailable(next(e for e in errors if e not in refusals))
        assert handed is not None
        return self._refused(refusals[0], handed)

    def _unavailable(self, error: BaseException) -> float:
        self._counters.add("output_failures_total", output=self.name)
        self.problem = _reason(error)
        level = logging.ERROR if getattr(error, "act", False) else logging.WARNING
        again = " Trying again until it works" if self.problem.endswith("?") else "; trying again until it works"
        self._outage.begins(f"{self.problem}{again}", level)
        asked = getattr(error, "retry_after", None) or 0.0
        return max(self._next_pause(), min(asked, LONGEST_RETRY_AFTER))

    def _refused(self, error: BaseException, handed: Delivery) -> float:
        self._refusals += 1
        self.problem = f"it refused an observation: {_reason(error)}"
        if self._refusals <= REFUSALS_SAID:
            self._log.warning("Output %s refused observation %s: %s", self.name, handed.observation.id, _reason(error))
        if self._refusals == REFUSALS_SAID:
            self._log.warning("Output %s refused %d in a row; more are only counted", self.name, self._refusals)
        self._reader.give_up("refused")
        self._bugs.clear()
        return 0.0

    def _bug(self, error: BaseException, handed: Delivery | None) -> float:
        self._counters.add("bugs_total", part=f"output {self.name}")
        where = _where(error)
        key = (handed.seq if handed else None, where)
        self._bugs[key] += 1
        self.problem = f"a bug in it: {where}"
        about = f" on observation {handed.observation.id}" if handed else ""
        if self._bugs[key] == 1:
            self._log.error("Output %s failed%s: a bug in it; trying again", self.name, about, exc_info=error)
        if handed is None or self._bugs[key] < MOST_BUGS:
            return self._next_pause()
        self._log.error("Output %s failed %d times%s: that one is put aside", self.name, MOST_BUGS, about)
        self._reader.give_up("bug")
        self._bugs.clear()
        self._failures = 0
        return 0.0

    def _next_pause(self) -> float:
        """1, 2, 4 … 60 s, and up to a fifth less, so that outputs of one broker don't come back all at once."""
        self._failures += 1
        return min(LONGEST_PAUSE, 2.0 ** (min(self._failures, 10) - 1)) * random.uniform(0.8, 1.0)  # noqa: S311


class _Session(AsyncIterator[Delivery]):
    """The deliveries of one call of ``deliver``, and its deadline.

    The deadline counts from the call to the first delivery asked for, then from each delivery handed out until the
    next is asked for. While the output waits for something new, it has all the time in the world.
    """

    def __init__(self, reader: Reader, timeout: float, delivered: Callable[[], None], log: logging.Logger) -> None:
        self.handed: Delivery | None = None
        """Given to the output and not confirmed."""
        self._reader = reader
        self._timeout = timeout
        self._delivered = delivered
        self._log = log
        self._late = OutputUnavailable(f"no answer within {timeout:g} s")
        self._over: BaseException | None = None
        self._alarm: asyncio.TimerHandle | None = None

    async def run(self, output: Output[Any]) -> BaseException | None:
        """Call ``deliver``; what it raised. In a task of its own: one that won't end must not keep us."""
        self._task = asyncio.create_task(_deliver(output, self))
        self._set_alarm()
        try:
            await asyncio.wait({self._task})
        except asyncio.CancelledError:
            self._over = self._late
            self._task.cancel()
            self._set_alarm(GRACE, self._say_stubborn)
            await asyncio.wait({self._task}, timeout=GRACE + 1)
            raise
        finally:
            self._silence()
            late, self._over = self._over, RuntimeError("deliver() has ended; its deliveries are over")
        if late is not None:
            if not self._task.cancelled() and self._task.exception() is not None:
                self._log.debug("what it made of being cancelled: %r", self._task.exception())
            return late
        if self._task.cancelled():
            return RuntimeError("deliver() cancelled itself")
        return self._task.exception()

    async def __anext__(self) -> Delivery:
        self._silence()
        if self._over is not None:
            raise self._over
        if self.handed is not None:
            self.handed = None
            self._reader.settle()
            self._delivered()
        try:
            delivery = await self._reader.next()
        finally:  # cancelled too: it may go on with something else
            if self._over is None:
                self._set_alarm()
        if delivery is None:
            raise StopAsyncIteration
        self.handed = delivery
        return delivery

    def _set_alarm(self, seconds: float | None = None, ring: Callable[[], None] | None = None) -> None:
        self._silence()
        loop = asyncio.get_running_loop()
        self._alarm = loop.call_later(self._timeout if seconds is None else seconds, ring or self._ring)

    def _silence(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()

    def _ring(self) -> None:
        """Too late: cancel it, and nothing more for it."""
        self._over = self._late
        self._task.cancel()
        self._set_alarm(GRACE, self._say_stubborn)

    def _say_stubborn(self) -> None:
        self._log.error(
            "The output's deliver() goes on although it was cancelled: a bug in it. "
            "It gets nothing more until it ends or camscribe is restarted."
        )
        self._task.cancel()


async def _deliver(output: Output[Any], session: _Session) -> None:
    await output.deliver(session)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions themselves, out of whatever TaskGroups they passed."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _reason(error: BaseException) -> str:
    text = str(error).strip().rstrip(".")
    if isinstance(error, CamscribeError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"
