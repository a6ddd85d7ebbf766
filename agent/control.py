"""The control socket: how ``camscribe look`` and ``doctor`` talk to the running service. One JSON line each way."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent.errors import CamscribeError

LONGEST_LINE = 256 * 1024
ASK_WITHIN = 5.0
"""Seconds a caller may take to say what it wants."""

Handler = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]


class NotRunning(CamscribeError):
    """No service runs on this data_dir."""


class Unanswered(CamscribeError):
    """A service runs, but gives no answer, or not to us."""


@asynccontextmanager
async def serve(path: Path, handle: Handler) -> AsyncIterator[None]:
    """Answer on ``path`` while the block runs. The journal's lock makes sure that nobody else serves it."""
    log = logging.getLogger("camscribe.control")

    async def reply_to(line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
        except ValueError:
            request = None
        if not isinstance(request, dict):
            return {"error": "That was not a request."}
        try:
            return await handle(request)
        except CamscribeError as error:
            return {"error": str(error)}
        except Exception:
            log.exception("a request on the control socket failed: a bug")
            return {"error": "camscribe has a bug there; its log has more."}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await asyncio.wait_for(reader.readline(), ASK_WITHIN)
            writer.write(json.dumps(await reply_to(line)).encode() + b"\n")
            await asyncio.wait_for(writer.drain(), ASK_WITHIN)
        except (ConnectionError, TimeoutError, ValueError):
            log.debug("a caller of the control socket asked nothing, too much, or did not wait for its answer")
        finally:
            writer.close()

    bound = await asyncio.to_thread(_bind, path)
    server = await asyncio.start_unix_server(answer, sock=bound, limit=LONGEST_LINE)
    try:
        yield
    finally:
        server.close()
        await asyncio.to_thread(path.unlink, missing_ok=True)


def _bind(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)  # nobody else may open it, from its first moment
    try:
        bound.bind(os.fspath(path))
    except OSError:
        bound.close()
        raise
    finally:
        os.umask(mask)
    return bound


async def ask(path: Path, request: Mapping[str, Any], timeout: float) -> dict[str, Any]:
    """The service's reply. Raises NotRunning, or Unanswered, that also after ``timeout`` seconds."""
    try:
        if (await asyncio.to_thread(path.stat)).st_uid not in (os.getuid(), 0):
            raise Unanswered(f"{path} belongs to another user: ask as that user (sudo -u …).")
        reader, writer = await asyncio.open_unix_connection(path, limit=LONGEST_LINE * 16)
    except (FileNotFoundError, ConnectionRefusedError):
        raise NotRunning("No camscribe runs on this data_dir.") from None
    except PermissionError:
        raise Unanswered(f"{path} may not be opened by this user: ask as the service's user (sudo -u …).") from None
    try:
        writer.write(json.dumps(request).encode() + b"\n")
        async with asyncio.timeout(timeout):
            line = await reader.readline()
    except TimeoutError:
        raise Unanswered(f"The service did not answer within {timeout:g} s.") from None
    finally:
        writer.close()
    if not line:
        raise Unanswered("The service stopped before it answered.")
    reply: dict[str, Any] = json.loads(line)
    return reply
