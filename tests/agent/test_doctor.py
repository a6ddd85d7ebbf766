"""What doctor says of the cameras plugged into this machine."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.doctor import Finding, _told_by_service, examine
from plugins.sources.usb import UsbSource
from plugins.sources.usb.nodes import Places
from tests.fakes.service import write_config
from tests.fakes.v4l2.camera import Tree


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    tree = Tree(tmp_path)
    monkeypatch.setattr(UsbSource, "places", Places(tree.dev, tree.sys))
    return tree


def examined(config: Path) -> list[Finding]:
    return asyncio.run(examine(config))  # by itself: doctor reads files as it comes to them


def _plugged_in(findings: list[Finding]) -> list[str]:
    assert all(finding.good for finding in findings if finding.part == "usb cameras")
    return [finding.text for finding in findings if finding.part == "usb cameras"]


def _config(folder: Path, source: str) -> Path:
    return write_config(
        folder, {"cameras": {"desk": {"source": source, "enabled": False}}, "model": {"preset": "tiny"}}
    )


def test_cameras_plugged_in_are_listed_with_what_to_write_and_who_uses_them(tree: Tree):
    tree.plug(0, name="C920", by_id="usb-046d_C920_1A2B").touch()
    tree.plug(1, name="C920", by_id="usb-046d_C920_1A2B", index=1).touch()
    tree.plug(2, name="Brio [4K]", port="1-2:1.0", by_id="usb-046d_Brio_77").touch()
    findings = examined(_config(tree.root, f"usb:{tree.dev}/video2"))
    links = tree.dev / "v4l" / "by-id"
    assert _plugged_in(findings) == [
        f"C920: source: usb:{links}/usb-046d_C920_1A2B-video-index0 (no camera of the config is it)",
        f"Brio [4K]: source: usb:{links}/usb-046d_Brio_77-video-index0 (desk)",
    ]


def test_where_none_is_plugged_in_nothing_is_said(tree: Tree):
    assert _plugged_in(examined(_config(tree.root, "demo"))) == []


def test_they_are_listed_for_who_has_no_good_config_yet(tree: Tree):
    tree.plug(0, name="C920").touch()
    (text,) = _plugged_in(examined(_config(tree.root, "usb:abc")))
    assert text.startswith("C920: source: usb:")


def test_a_plugin_that_fails_at_it_is_a_finding_and_not_the_end(tree: Tree, monkeypatch: pytest.MonkeyPatch):
    def attached() -> dict[str, str]:
        raise RuntimeError("no bus")

    monkeypatch.setattr(UsbSource, "attached", attached)
    findings = examined(_config(tree.root, "demo"))
    (finding,) = [finding for finding in findings if finding.part == "usb cameras"]
    assert not finding.good
    assert "RuntimeError: no bus" in finding.text
    assert [finding for finding in findings if finding.part == "camera desk"]


def test_each_captioner_is_a_finding_and_a_failed_one_shows_its_last_words():
    lines = [f"line {number}" for number in range(30)]
    captioners = {
        "default": {"state": "ready", "model": "tiny", "said": lines},
        "spare": {"state": "failed: The engine ended.", "model": "big", "said": lines},
    }
    status = {"version": "1", "captioners": captioners, "outputs": {}, "cameras": {}}
    good, failed = _told_by_service(status)[1:]
    assert (good.part, good.good, good.text, good.said) == ("captioner default", True, "tiny: ready", ())
    assert (failed.part, failed.good, failed.text) == ("captioner spare", False, "big: failed: The engine ended.")
    assert list(failed.said) == lines[-10:]
    asked = _told_by_service(status, engine_log=True)[1:]
    assert [list(finding.said) for finding in asked] == [lines, lines]


def test_camera_with_a_problem_says_since_when():
    wall = datetime(2026, 11, 22, 3, 12).astimezone()
    told = {
        "state": "gone",
        "since": wall.astimezone(UTC).isoformat(),
        "online": False,
        "problem": "It can't be reached.",
    }
    well = {**told, "state": "live", "online": True, "problem": None}
    slow = {**told, "state": "live"}
    status = {
        "version": "1",
        "captioners": {},
        "outputs": {},
        "cameras": {"door": told, "yard": well, "desk": slow},
    }
    says = {finding.part: (finding.good, finding.text) for finding in _told_by_service(status)}
    assert says["camera door"] == (False, "It can't be reached. (gone since 22 Nov 03:12)")
    assert says["camera yard"] == (True, "live")
    assert says["camera desk"] == (False, "It can't be reached.")


def test_engines_log_without_a_service_is_said_to_be_none(tree: Tree):
    findings = asyncio.run(examine(_config(tree.root, "demo"), engine_log=True))
    assert [finding.text for finding in findings if finding.part == "engine log"] == [
        "there is none: only a running service has an engine"
    ]
