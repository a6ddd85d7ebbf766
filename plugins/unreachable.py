"""Why a target can't be reached, in words that say what to look at."""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterator

_ERRNO = re.compile(r"\[Errno (-?\d+)\]")
_WORDS = {
    errno.ECONNREFUSED: "refuses connections: is it switched on, and the port right?",
    errno.ETIMEDOUT: "does not answer: is it switched on, and the address right?",
    errno.EHOSTUNREACH: "is not on the network: is it switched on, and the address right?",
    errno.ENETUNREACH: "is on a network that can't be reached from here: is this machine connected?",
    errno.ECONNRESET: "broke the connection off.",
}


def why(error: BaseException, host: str) -> str | None:
    """The end of a sentence that begins with the target; None where nothing better is known than the error's words."""
    for cause in causes(error):
        number = cause.errno if isinstance(cause, OSError) else None
        if number is None and (written := _ERRNO.search(str(cause))):
            number = int(written[1])
        if isinstance(cause, socket.gaierror) or number in (socket.EAI_NONAME, socket.EAI_AGAIN):
            return f"can't be found: no machine has the name {host}, or the network's name server does not answer."
        if number in _WORDS:
            return _WORDS[number]
    return None


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and all that led to it; both addresses' where a name had two."""
    seen: set[int] = set()
    while error and id(error) not in seen:
        seen.add(id(error))
        yield error
        yield from error.exceptions if isinstance(error, BaseExceptionGroup) else ()
        error = error.__cause__ or error.__context__
