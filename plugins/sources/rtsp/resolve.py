"""A camera's name, looked up before FFmpeg does: a dead name server must not pass for a hanging driver."""

from __future__ import annotations

import socket
from socket import getaddrinfo

from plugins.sources.rtsp import trouble
from plugins.sources.rtsp.address import Address
from plugins.sources.rtsp.trouble import Trouble


def unresolved(address: Address) -> Trouble | None:
    """Why the address has no place on the network. Blocks for as long as the resolver takes (minutes, at worst)."""
    try:
        getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return (trouble.NO_NAME_SERVER if error.errno == socket.EAI_AGAIN else trouble.UNKNOWN_NAME).told(error)
    except UnicodeError as error:  # a label longer than 63 bytes
        return trouble.UNKNOWN_NAME.told(error)
    return None
