"""The rule that nobody overlooks: what others can reach has a password, or is not served."""

from __future__ import annotations

from pathlib import Path

from agent.config.grammar import WebSettings
from agent.errors import Misconfigured
from agent.web.access.credentials import Credentials
from agent.web.access.hosts import is_loopback
from agent.web.access.store import Store
from agent.web.tls import Tls


def fault(settings: WebSettings, credentials: Credentials | None) -> str | None:
    """Why the pages may not be served; a sentence that says what to do."""
    if (credentials and credentials.any) or for_this_machine_alone(settings):
        return None
    if not is_loopback(settings.host):
        why = f"web.host is {settings.host}, so others can reach the pages of camscribe"
    else:
        key = "names" if settings.names else "proxies"
        why = f"web.{key} is set, so others can reach the pages of camscribe through a proxy"
    return f"{why}, and there is no password yet. Set one with 'camscribe web password'."


def examine(settings: WebSettings, data_dir: Path) -> str | None:
    """The same with the credentials that there are; or why the certificate can't be used. Blocks."""
    try:
        if tls := Tls.of(settings):
            tls.context()
        return fault(settings, Store(data_dir).read())
    except Misconfigured as error:
        return str(error)


def for_this_machine_alone(settings: WebSettings) -> bool:
    return is_loopback(settings.host) and not settings.names and not settings.proxies
