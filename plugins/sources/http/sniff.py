"""What an answer is, by its first bytes: cameras call pictures text, and login pages pictures."""

from __future__ import annotations

from plugins.sources.http import trouble
from plugins.sources.http.body import Body
from plugins.sources.http.trouble import Trouble, Troubled

PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"BM", b"II*\0", b"MM\0*")


async def is_stream(body: Body) -> bool:
    """False: a picture. Raises Troubled: neither."""
    if body.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise Troubled(trouble.COMPRESSED)
    first = await body.first()
    if not first:
        raise Troubled(trouble.EMPTY)
    if first.startswith(PICTURES) or (first[:4] == b"RIFF" and first[8:12] == b"WEBP"):
        return False
    declared = body.headers.get("content-type", "").strip().lower()
    if declared.startswith("multipart/") or first.lstrip(b"\r\n").startswith(b"--"):
        return True
    raise Troubled(_neither(first))


def _neither(first: bytes) -> Trouble:
    begin = first.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if begin.startswith(b"<"):
        return trouble.WEB_PAGE
    if begin.startswith((b"{", b"[")):
        # Reolink's way of saying 401.
        return trouble.LOGIN_REFUSED if b"login" in first.lower() or b"password" in first.lower() else trouble.TEXT
    text = all(byte >= 0x20 or byte in b"\t\r\n" for byte in first)
    return trouble.TEXT if text else trouble.NO_PICTURE
