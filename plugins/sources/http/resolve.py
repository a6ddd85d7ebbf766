"""Where a camera's name leads. Not asyncio's way: its few threads are everybody's, a dead name server holds them."""

from __future__ import annotations

import ipaddress
import socket
from functools import partial

import httpx

from plugins.sources.http import trouble
from plugins.sources.http.trouble import Troubled
from plugins.sources.threads import in_thread


async def addresses(url: httpx.URL) -> list[str]:
    """IPv4 first: in a home it is what works. Raises Troubled."""
    host = url.raw_host.decode()
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        pass  # a name
    ask = partial(socket.getaddrinfo, host, None, type=socket.SOCK_STREAM)
    try:
        found = await in_thread("name server", ask, waits=True)
    except socket.gaierror as error:
        raise Troubled(trouble.NO_NAME_SERVER if error.errno == socket.EAI_AGAIN else trouble.UNKNOWN_NAME) from None
    except UnicodeError:  # a label longer than 63 bytes
        raise Troubled(trouble.UNKNOWN_NAME) from None
    found.sort(key=lambda one: one[0] is not socket.AF_INET)
    return list(dict.fromkeys(str(one[4][0]) for one in found))
