"""Headers that every answer has: what a browser may do with it, and nothing more."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders

from agent.web.access.arrival import Arrival
from agent.web.access.hosts import is_loopback

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "media-src 'self' blob:; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
)
_NOT_USED = ("microphone", "geolocation", "display-capture", "payment", "usb", "serial", "hid", "midi")
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: with that, browsers hide the origin of our own forms as well ("Origin: null").
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": ", ".join(["camera=(self)", *(f"{name}=()" for name in _NOT_USED)]),
}
STRICT_TRANSPORT = "max-age=31536000"


def secure(headers: MutableHeaders, arrival: Arrival | None) -> None:
    """Over whatever the app has set of them; nothing of ours may be read by other origins."""
    for name, value in HEADERS.items():
        headers[name] = value
    headers.setdefault("Cache-Control", "private, no-store")
    if arrival is None or arrival.secure or is_loopback(arrival.name):  # elsewhere browsers complain of it
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
    for name in [name for name in headers if name.startswith("access-control-")]:
        del headers[name]
    # It holds for every port of the host, and Home Assistant may have another without TLS: so only where the host's
    # main site is ours. A browser ignores it for an address.
    if arrival and arrival.secure and arrival.host == arrival.name:
        headers["Strict-Transport-Security"] = STRICT_TRANSPORT
