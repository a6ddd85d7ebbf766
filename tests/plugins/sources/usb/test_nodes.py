"""Which cameras are plugged in, and what to write for each."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from agent.plugin import Context
from plugins.sources.usb import UsbConfig, UsbSource
from plugins.sources.usb.nodes import Places, beside, cameras
from tests.fakes.v4l2.camera import Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def places(tree: Tree) -> Places:
    return Places(tree.dev, tree.sys)


def plug(tree: Tree, number: int, **about) -> Path:
    path = tree.plug(number, **about)
    path.touch()
    return path


def test_a_machine_without_cameras_has_none(tree: Tree):
    assert cameras(places(tree)) == {}


def test_cameras_are_listed_once_by_the_name_that_stays(tree: Tree):
    plug(tree, 0, name="C920", by_id="usb-046d_C920_1A2B")
    plug(tree, 1, name="C920", by_id="usb-046d_C920_1A2B", index=1)
    plug(tree, 2, name="No Serial", port="1-2:1.0")
    by_id = tree.dev / "v4l" / "by-id" / "usb-046d_C920_1A2B-video-index0"
    by_path = tree.dev / "v4l" / "by-path" / "pci-0000:00:14.0-usb-0:1-2:1.0-video-index0"
    assert cameras(places(tree)) == {str(by_id): "C920", str(by_path): "No Serial"}
    assert beside(tree.dev / "video1", places(tree)) == by_id
    assert beside(tree.dev / "video0", places(tree)) is None


def test_two_alike_without_serial_numbers_go_by_their_sockets(tree: Tree):
    plug(tree, 0, name="Cheap", port="1-1:1.0", by_id="usb-1234_Cheap")  # udev gives the name to one of them
    plug(tree, 2, name="Cheap", port="1-2:1.0")
    assert all("/by-path/" in device for device in cameras(places(tree)))
    assert len(cameras(places(tree))) == 2


def test_a_machine_without_udev_has_numbers(tree: Tree):
    path = plug(tree, 4)
    for link in (tree.dev / "v4l" / "by-path").iterdir():
        link.unlink()
    assert cameras(places(tree)) == {str(path): "Fake Camera"}


def test_what_is_not_on_usb_is_left_out(tree: Tree):
    plug(tree, 10, name="bcm2835-codec-decode")
    subsystem = tree.sys / "video10" / "device" / "subsystem"
    subsystem.unlink()
    subsystem.symlink_to(tree.root / "sys" / "bus" / "platform")
    assert cameras(places(tree)) == {}


def test_a_camera_is_recognised_however_it_is_written(tree: Tree, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(UsbSource, "places", places(tree))
    path = plug(tree, 0, by_id="usb-046d_C920_1A2B")
    ((text, name),) = UsbSource.attached().items()
    assert (text, name) == (f"usb:{tree.dev}/v4l/by-id/usb-046d_C920_1A2B-video-index0", "Fake Camera")
    context = Context("desk", logging.getLogger("desk"), tree.root, tree.root)
    for device in (0, str(path), text.removeprefix("usb:")):
        assert UsbSource(UsbConfig(device=device), context).attached_as() == text
    assert UsbSource(UsbConfig(device=1), context).attached_as() is None
