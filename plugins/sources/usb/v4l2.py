"""What the device itself answers, asked before OpenCV is.

OpenCV says only "not opened", whatever the reason, and where another program has the camera it turns in circles.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from pathlib import Path

from plugins.sources.usb.nodes import Places, beside, holder
from plugins.sources.usb.wire import Lost, Why

QUERYCAP, REQBUFS = 0x80685600, 0xC0145608  # _IOR('V', 0, 104 bytes), _IOWR('V', 8, 20 bytes)
STREAMON = 0x40045612  # _IOW('V', 18, 4 bytes)
CAPTURE, CAPTURE_MPLANE, HAS_DEVICE_CAPS = 0x1, 0x1000, 0x80000000
MMAP = 1
_ABSENT = {errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ENOTDIR}


def examine(path: Path, places: Places, *, start: bool = False) -> None:
    """Raises Lost: why the camera can't be opened, or, where it could, why it does not ``start``."""
    try:
        device = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _examine(device, path, places, start=start)
        finally:
            os.close(device)
    except OSError as error:
        raise _lost(error, path, places) from error


def _examine(device: int, path: Path, places: Places, *, start: bool) -> None:
    answer = bytearray(104)
    try:
        fcntl.ioctl(device, QUERYCAP, answer)
    except OSError as error:
        if error.errno in {errno.ENOTTY, errno.EINVAL}:
            raise Lost(Why.NO_PICTURES) from error
        raise
    whole, own = struct.unpack_from("=II", answer, 84)
    can = own if whole & HAS_DEVICE_CAPS else whole
    if not can & (CAPTURE | CAPTURE_MPLANE):
        right = beside(path, places)
        raise Lost(Why.NO_PICTURES, str(right) if right else "")
    # Only one program at a time may have buffers, so this is the question whether another has them.
    kind = 1 if can & CAPTURE else 9
    fcntl.ioctl(device, REQBUFS, struct.pack("=5I", 1, kind, MMAP, 0, 0))
    if start:
        fcntl.ioctl(device, STREAMON, struct.pack("=I", kind))  # closing the device stops it
    else:
        fcntl.ioctl(device, REQBUFS, struct.pack("=5I", 0, kind, MMAP, 0, 0))


def _lost(error: OSError, path: Path, places: Places) -> Lost:
    if error.errno in _ABSENT:
        return Lost(Why.MISSING)
    if error.errno in {errno.EACCES, errno.EPERM}:
        return Lost(Why.DENIED, _group(path))
    if error.errno == errno.EBUSY:
        return Lost(Why.BUSY, holder(path, places))
    if error.errno == errno.ENOSPC:
        return Lost(Why.NO_BANDWIDTH)
    return Lost(Why.FAILED, error.strerror or "")


def _group(path: Path) -> str:
    try:
        return path.group()
    except (KeyError, OSError):
        return "video"


def identity(path: Path) -> tuple[int, int, int] | None:
    """Changes when the camera is unplugged, and again when it is back."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_rdev
