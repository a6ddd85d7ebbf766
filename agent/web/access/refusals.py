"""Requests that were refused: counted by their reason, and said so seldom that nobody can fill the log with them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import StrEnum

from agent.clock import Clock
from agent.status import Counters
from agent.web.problems import Problem

SAID_EVERY = 600.0
LONGEST_SHOWN = 100

log = logging.getLogger("camscribe.web.access")


class Reason(StrEnum):
    """The ``reason`` of ``web_refused_total``."""

    PATH = "path"
    HOST = "host"
    ORIGIN = "origin"
    LOGIN = "login"
    """Neither a session nor a token."""
    TOKEN = "token"  # noqa: S105 (a reason)
    BODY = "body"
    SOCKET = "socket"
    """A WebSocket: there is none."""


QUIET = frozenset({Reason.LOGIN, Reason.BODY, Reason.PATH})
"""Nobody has to know: a page that was open when its session ended, a scanner."""


class Refused(Exception):
    """The request goes no further."""

    def __init__(
        self, reason: Reason, status: int, detail: str, said: str = "", *, headers: Mapping[str, str] | None = None
    ) -> None:
        """``detail`` is the answer's; ``said`` the log's, of which only ``shown`` parts come from the request."""
        super().__init__(detail)
        self.reason = reason
        self.said = said or detail
        self.problem = Problem(status, detail, headers=headers)


def shown(text: str) -> str:
    """What a stranger sent, as a part of a line: quoted, cut, and no line of its own."""
    return ascii(text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…")


class Refusals:
    def __init__(self, clock: Clock, counters: Counters) -> None:
        self._clock = clock
        self._counters = counters
        self._said: dict[Reason, float] = {}
        self._unsaid: dict[Reason, int] = {}

    def note(self, refused: Refused, client: str) -> None:
        reason = refused.reason
        self._counters.add("web_refused_total", reason=reason.value)
        now = self._clock.now().monotonic
        if reason in QUIET or now - self._said.get(reason, float("-inf")) < SAID_EVERY:
            self._unsaid[reason] = self._unsaid.get(reason, 0) + 1
            log.debug("refused a request of %s: %s", shown(client), refused.said)
            return
        self._said[reason] = now
        more = self._unsaid.pop(reason, 0)
        told = f" ({more} more like it since the last was said)" if more else ""
        log.info("refused a request of %s: %s%s", shown(client), refused.said, told)
