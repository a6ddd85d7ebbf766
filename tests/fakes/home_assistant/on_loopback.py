"""Home Assistant's own entry point, which Home Assistant's own Python runs; it differs from `hass` in three things.

mDNS is on loopback only, while Home Assistant takes every network there is; an entity that gets enabled is there at
once, not after half a minute; and when the test that started it is killed, it ends too.
"""

import ctypes
import os
import signal
import sys

import zeroconf
from homeassistant import config_entries
from homeassistant.__main__ import main

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    parent = int(sys.argv.pop(1))
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the test that started this is gone")
    init = zeroconf.Zeroconf.__init__

    def on_loopback(self: zeroconf.Zeroconf, *_: object, **__: object) -> None:
        init(self, interfaces=["127.0.0.1"], unicast=True, ip_version=zeroconf.IPVersion.V4Only)

    zeroconf.Zeroconf.__init__ = on_loopback
    config_entries.RELOAD_AFTER_UPDATE_DELAY = 0.1
    sys.exit(main())
