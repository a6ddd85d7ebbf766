"""A JPEG as the answer to a request."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import Response


def picture_response(request: Request, jpeg: bytes, sha256: str, *, lasting: bool) -> Response:
    """304 where the caller has it already. ``lasting``: at this address there will never be another picture."""
    keep = "private, max-age=31536000, immutable" if lasting else "private, no-cache"
    headers = {"ETag": f'"{sha256}"', "Cache-Control": keep, "X-Content-Type-Options": "nosniff"}
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if headers["ETag"] in known:
        return Response(status_code=304, headers=headers)
    return Response(jpeg, media_type="image/jpeg", headers=headers)
