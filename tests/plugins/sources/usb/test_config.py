"""What may be written for a USB camera."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from plugins.sources.usb import UsbConfig, UsbSource

BY_ID = "usb-046d_HD_Pro_Webcam_C920_1A2B-video-index0"


@pytest.mark.parametrize(
    ("short", "device"),
    [
        ("usb:0", 0),
        ("usb:12", 12),
        ("usb:/dev/video0", "/dev/video0"),
        (f"usb:/dev/v4l/by-id/{BY_ID}", f"/dev/v4l/by-id/{BY_ID}"),
        (f"usb:{BY_ID}", f"/dev/v4l/by-id/{BY_ID}"),
        ("usb:pci-0000:00:14.0-usb-0:1:1.0-video-index0", None),
    ],
)
def test_short_forms(short: str, device: int | str | None):
    config = UsbConfig.model_validate(dict(UsbSource.from_short(short)))
    assert config.device == (device if device is not None else f"/dev/v4l/by-path/{short.removeprefix('usb:')}")


@pytest.mark.parametrize("device", ["", "abc", "video0", -1, "99999", "-1", True, None, 1.5])
def test_what_is_no_device_is_answered_with_what_is(device: object):
    with pytest.raises(ValidationError) as caught:
        UsbConfig.model_validate({"device": device})
    if isinstance(device, str):
        assert "usb:0" in str(caught.value)
        assert "camscribe doctor" in str(caught.value)
    if device == "video0":
        assert "Write '/dev/video0'" in str(caught.value)
