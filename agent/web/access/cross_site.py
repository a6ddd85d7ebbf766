"""Requests that another web page makes this browser send: told by what browsers say of them, and scripts can't change.

docs/decisions says why there is no token in the forms.
"""

from __future__ import annotations

from starlette.datastructures import Headers

from agent.web.access.arrival import Arrival
from agent.web.access.refusals import Reason, Refused, shown

SAFE = ("GET", "HEAD")
_OURS = ("same-origin", "none")
"""``none``: typed, or from a bookmark."""
_USUAL = {"http": ":80", "https": ":443"}


def check(method: str, headers: Headers, arrival: Arrival) -> None:
    """Raises Refused."""
    origins = headers.getlist("origin")
    if any(not same_origin(origin, arrival) for origin in origins):
        told = "This request was made by a web page of another origin, and those may not use camscribe."
        raise Refused(Reason.ORIGIN, 403, told, f"it was made by a page of {shown(origins[0])}")
    site = headers.get("sec-fetch-site")
    if site is None or site in _OURS:
        return
    opened = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    if method not in SAFE or not opened:
        told = "This request was made by another web page, and those may only link to camscribe."
        raise Refused(Reason.ORIGIN, 403, told, "it was made by another web page")


def same_origin(origin: str, arrival: Arrival) -> bool:
    """A proxy in between may not tell that it speaks https; but what came by https is no page's of http."""
    scheme, _, rest = origin.partition("://")
    usual = _USUAL.get(scheme, "")
    if not usual or (arrival.secure and scheme == "http"):
        return False
    return rest.lower().removesuffix(usual) == arrival.host.lower().removesuffix(usual)


def navigates(method: str, route: str, headers: Headers) -> bool:
    """A person looks at what comes back: they can log in, a program can't."""
    if route.startswith("/api/") or "text/html" not in headers.get("accept", ""):
        return False
    return headers.get("sec-fetch-mode", "navigate") == "navigate" and method in (*SAFE, "POST")


def came_from_elsewhere(headers: Headers) -> bool:
    """Perhaps: then the browser has kept the session's cookie back, which it sends when we send it on ourselves."""
    return headers.get("sec-fetch-site") not in _OURS
