"""The certificate of the pages: read, and read again when it is renewed."""

from __future__ import annotations

import asyncio
import logging
import ssl
from dataclasses import dataclass
from pathlib import Path

from agent.clock import Clock
from agent.config.grammar import WebSettings
from agent.errors import Misconfigured

LOOKED_EVERY = 60.0
"""Seconds between two looks at the files."""

log = logging.getLogger("camscribe.web")


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files."""

    certificate: Path
    key: Path

    @classmethod
    def of(cls, settings: WebSettings) -> Tls | None:
        if settings.certificate is None or settings.key is None:
            return None
        return cls(settings.certificate, settings.key)

    def context(self) -> ssl.SSLContext:
        """Blocks. Raises Misconfigured."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])
        self._load(context)
        return context

    async def keep_fresh(self, context: ssl.SSLContext, clock: Clock) -> None:
        """Forever: new connections get the certificate that is in the files by now."""
        seen = await asyncio.to_thread(self._fingerprint)
        while True:
            await clock.sleep(LOOKED_EVERY)
            now = await asyncio.to_thread(self._fingerprint)
            if now in (seen, None):
                continue
            seen = now
            try:
                await asyncio.to_thread(self._load, context)
            except Misconfigured as error:
                log.error("%s The one before is used on.", error)  # noqa: TRY400 (a person's mistake, and no bug)
            else:
                log.info("the certificate of the web pages was renewed")

    def _load(self, context: ssl.SSLContext) -> None:
        try:
            context.load_cert_chain(self.certificate, self.key, password=_no_password)
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
            raise Misconfigured(
                f"web.certificate {self.certificate} and web.key {self.key} can't be used ({reason}). They have to be "
                "a PEM certificate, with those that vouch for it behind it, and its key without a password, and "
                "readable by camscribe's user."
            ) from None

    def _fingerprint(self) -> tuple[int, ...] | None:
        try:
            return tuple(path.stat().st_mtime_ns for path in (self.certificate, self.key))
        except OSError:
            return None


def _no_password() -> str:
    """OpenSSL would ask at the terminal, where nobody sits."""
    raise ValueError("the key is behind a password")
