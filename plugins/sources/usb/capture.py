"""The camera as OpenCV sees it. Only the camera's own process imports this."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from plugins.sources.usb.nodes import Places
from plugins.sources.usb.v4l2 import examine, identity
from plugins.sources.usb.wire import Lost, Why

MJPG = int.from_bytes(b"MJPG", "little")
FEWEST_SETTLING = 5


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the agent wants of the camera; JSON on the process's command line."""

    device: str | int
    long_edge: int
    width: int
    height: int
    fps: int | None
    mjpeg: bool
    settle: float
    """Seconds of pictures to throw away first: the camera is still finding its exposure."""
    stalled: int
    """Whole seconds without a picture."""
    dev: str = "/dev"
    sys: str = "/sys/class/video4linux"
    proc: str = "/proc"

    @property
    def path(self) -> Path | None:
        """None where cameras have no paths (macOS)."""
        return Path(self.device) if isinstance(self.device, str) else None


class Capture:
    """One opening of the camera. Everything raises Lost."""

    def __init__(self, wishes: Wishes) -> None:
        self._wishes = wishes
        self._places = Places(Path(wishes.dev), Path(wishes.sys), Path(wishes.proc))
        self._identity: tuple[int, int, int] | None = None
        if wishes.path is not None:
            examine(wishes.path, self._places)
            self._identity = identity(wishes.path)
        self._cv2 = _opencv(wishes.stalled)
        self._device = self._open()
        self._buffers = max(1, int(self._device.get(self._cv2.CAP_PROP_BUFFERSIZE)))
        self._settle()

    def _open(self) -> Any:
        cv2, wishes = self._cv2, self._wishes
        on_mac = sys.platform == "darwin"
        device = cv2.VideoCapture(wishes.device, cv2.CAP_AVFOUNDATION if on_mac else cv2.CAP_V4L2)
        if not device.isOpened():
            raise Lost(Why.FAILED, "it can't be opened")
        if not on_mac:
            if wishes.mjpeg:
                device.set(cv2.CAP_PROP_FOURCC, MJPG)  # before the size: uncompressed, many do only small ones
            device.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        device.set(cv2.CAP_PROP_FRAME_WIDTH, wishes.width)
        device.set(cv2.CAP_PROP_FRAME_HEIGHT, wishes.height)
        if wishes.fps is not None:
            device.set(cv2.CAP_PROP_FPS, wishes.fps)
        # As the camera sends them: decoding a damaged one, OpenCV would hand out the one before it instead.
        self.jpegs = not on_mac and int(device.get(cv2.CAP_PROP_FOURCC)) == MJPG
        if self.jpegs:
            device.set(cv2.CAP_PROP_CONVERT_RGB, 0)
        return device

    def _settle(self) -> None:
        self._grab()
        until = time.monotonic() + self._wishes.settle
        taken = 1
        while taken < FEWEST_SETTLING or time.monotonic() < until:
            self._grab()
            taken += 1

    def _grab(self) -> None:
        began = time.monotonic()
        if self._device.grab():
            return
        if time.monotonic() - began > 0.8 * self._wishes.stalled:
            raise Lost(Why.STALLED)
        self.check()
        if self._wishes.path is not None:  # OpenCV does not say why, the device does
            self._device.release()
            examine(self._wishes.path, self._places, start=True)
        raise Lost(Why.FAILED, "it stopped giving pictures")

    def check(self) -> None:
        """Is it still there? Costs next to nothing."""
        if self._wishes.path is not None and identity(self._wishes.path) != self._identity:
            raise Lost(Why.UNPLUGGED)

    def picture(self, since: float) -> tuple[dict[str, Any], bytes | memoryview]:
        """A picture that was taken after ``since``: header and body.

        What the driver's buffers hold was taken any time ago. The driver's own stamp tells; where it makes no sense,
        a picture is new once every buffer was emptied.
        """
        for grabbed in range(1, self._buffers + 3):
            began = time.monotonic()
            self._grab()
            stamp = self._device.get(self._cv2.CAP_PROP_POS_MSEC) / 1000
            if since <= stamp <= time.monotonic():
                return self._retrieve(stamp)
            if grabbed > self._buffers + 1:
                break
        return self._retrieve(began)

    def _retrieve(self, taken: float) -> tuple[dict[str, Any], bytes | memoryview]:
        good, picture = self._device.retrieve()
        if not good or picture is None:
            raise Lost(Why.FAILED, "it gave a picture that can't be read")
        header = {"is": "picture", "taken": taken}
        if self.jpegs:
            return header | {"form": "jpeg"}, memoryview(picture).cast("B")
        rgb = self._scaled(self._cv2.cvtColor(picture, self._cv2.COLOR_BGR2RGB))
        height, width = rgb.shape[:2]
        return header | {"form": "rgb", "width": width, "height": height}, memoryview(rgb).cast("B")

    def _scaled(self, picture: Any) -> Any:
        height, width = picture.shape[:2]
        scale = self._wishes.long_edge / max(width, height)
        if scale >= 1:
            return picture
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        return self._cv2.resize(picture, size, interpolation=self._cv2.INTER_AREA)


def _opencv(stalled: int) -> Any:
    # Read when they are loaded: threads that a picture at a time has no use for, and how long OpenCV waits for one.
    os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": str(stalled)}
    try:
        import cv2  # noqa: PLC0415 - most faults are found without it, at a tenth of the cost
    except ImportError as error:
        raise Lost(Why.NO_OPENCV, str(error)) from error
    cv2.setNumThreads(1)
    return cast("Any", cv2)
