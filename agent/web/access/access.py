"""Access as a whole: what the site and its start use of it."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from pathlib import Path

from fastapi import APIRouter
from starlette.datastructures import Headers
from starlette.types import ASGIApp

from agent.clock import Clock
from agent.config.grammar import WebSettings
from agent.errors import Misconfigured
from agent.status import Counters, Outage
from agent.web.access import sessions
from agent.web.access.arrival import Arrival, Arrivals
from agent.web.access.caller import ANYBODY, HOME_ASSISTANT, Caller
from agent.web.access.credentials import Credentials, proofs
from agent.web.access.guard import CHALLENGE, Doorkeeper, Guard
from agent.web.access.hosts import Hosts, own_names
from agent.web.access.login import Login
from agent.web.access.passwords import Passwords
from agent.web.access.refusals import Reason, Refusals, Refused
from agent.web.access.rule import fault, for_this_machine_alone
from agent.web.access.sessions import Session
from agent.web.access.store import Stamp, Store
from agent.web.access.under_way import UnderWay
from agent.web.rendering import shelf

LOOKED_EVERY = 2.0
"""Seconds between two looks at the credentials' file."""

log = logging.getLogger("camscribe.web.access")


class Access:
    """``open`` it, then ask for its ``fault``, serve behind its ``guard``, and run ``watch``."""

    def __init__(self, settings: WebSettings, data_dir: Path, clock: Clock, counters: Counters) -> None:
        self._settings = settings
        self._store = Store(data_dir)
        self._clock = clock
        self._stamp: Stamp | None = None
        self._hosts = Hosts(())
        self._under_way = UnderWay()
        self._refusals = Refusals(clock, counters)
        self._passwords = Passwords()
        self._login = Login(self, self._passwords, clock, counters)
        self._unreadable = Outage("The passwords of the web pages", log, clock, level=logging.ERROR)
        self.credentials: Credentials | None = None
        self.fault: str | None = "The credentials have not been read yet."

    @property
    def router(self) -> APIRouter:
        """Logging in and out."""
        return self._login.router

    async def open(self) -> None:
        """Reads the credentials. Why they can't be used, or why they are not enough, is then the ``fault``."""
        names = await asyncio.to_thread(own_names)
        here = () if self._settings.host in ("0.0.0.0", "::") else (self._settings.host,)  # noqa: S104
        self._hosts = Hosts({*names, *self._settings.names, *here})
        await self._passwords.open()
        await asyncio.to_thread(shelf)
        try:
            await self._read()
        except Misconfigured as error:
            self.fault = str(error)
        else:
            self.fault = fault(self._settings, self.credentials)

    def guard(self, app: ASGIApp) -> ASGIApp:
        keeper = Doorkeeper(
            arrivals=Arrivals(self._settings),
            hosts=self._hosts,
            identify=self._identify,
            renewal=self._renewal,
            under_way=self._under_way,
            refusals=self._refusals,
        )
        return Guard(app, keeper)

    async def watch(self) -> None:
        """Notices what the commands change; for ever."""
        while True:
            await self._clock.sleep(LOOKED_EVERY)
            self._login.notice_quiet()
            try:
                if await asyncio.to_thread(self._store.stamp) != self._stamp:
                    before = proofs(self.credentials)
                    await self._read()
                    if proofs(self.credentials) != before:
                        log.info("the passwords and tokens of the web pages have changed")
            except Misconfigured as error:  # then it stays as it was: nobody comes in by breaking a file
                self._unreadable.begins(str(error))
            else:
                self._unreadable.ends()

    async def _read(self) -> None:
        self._stamp = await asyncio.to_thread(self._store.stamp)
        self.credentials = await asyncio.to_thread(self._store.read)
        self._under_way.check(self._still_good)

    def _identify(self, arrival: Arrival, headers: Headers) -> Caller | None:
        """Raises Refused."""
        if arrival.by_home_assistant:
            return HOME_ASSISTANT
        credentials = self.credentials
        if credentials is None or not credentials.any:
            return ANYBODY if for_this_machine_alone(self._settings) else None
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":  # a proxy's own Basic login is none of our business
            name = credentials.token(token.strip())
            if name is None:
                told = "There is no such token. 'camscribe web token list' shows those there are."
                challenge = {"WWW-Authenticate": f'{CHALLENGE}, error="invalid_token"'}
                raise Refused(Reason.TOKEN, 401, told, "it has a token that is none of ours", headers=challenge)
            return Caller("token", name)
        return self._by_cookie(arrival, headers, credentials)

    def _by_cookie(self, arrival: Arrival, headers: Headers, credentials: Credentials) -> Caller | None:
        name = sessions.cookie_name(credentials, secure=arrival.secure, root=arrival.root)
        now = self._clock.now().wall
        for header in headers.getlist("cookie"):
            for value in sessions.cookies_of(header, name):
                if session := sessions.read(value, credentials, now):
                    return Caller("session", session.user, session)
        return None

    def _still_good(self, caller: Caller) -> bool:
        credentials = self.credentials
        if caller.kind == "home_assistant":
            return True
        if credentials is None or not credentials.any:
            return caller.kind == "anybody" and for_this_machine_alone(self._settings)
        if caller.session:
            return caller.session.good(credentials, self._clock.now().wall)
        return caller.kind == "token" and caller.name in credentials.tokens

    def _renewal(self, caller: Caller, arrival: Arrival) -> str | None:
        now = self._clock.now().wall
        if caller.session is None or not caller.session.old(now):
            return None
        return self.cookie(caller.session.renewed(now), arrival)

    def cookie(self, session: Session | None, arrival: Arrival) -> str:
        """See Keeper."""
        credentials = self.credentials
        assert credentials is not None, "without credentials nobody has a session"
        name = sessions.cookie_name(credentials, secure=arrival.secure, root=arrival.root)
        value = sessions.written(session, credentials) if session else ""
        return sessions.cookie(name, value, secure=arrival.secure, root=arrival.root)

    async def end(self, session: Session) -> None:
        """Also for whoever has a copy of its cookie."""
        now = self._clock.now().wall
        try:
            ended = partial(Credentials.with_ended, session=session.id, now=now)
            self.credentials = await asyncio.to_thread(self._store.change, ended)
        except Misconfigured as error:
            log.warning("a session was logged out, but only until the next start: %s", error)
            self.credentials = self.credentials and self.credentials.with_ended(session.id, now)
        self._under_way.check(self._still_good)
