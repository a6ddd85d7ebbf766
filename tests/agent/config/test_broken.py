"""Every file in broken/ says in its head which faults it has; exactly these are found, on these lines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.config import ConfigFaults, load, text
from agent.registry import Registry
from tests.agent.config.household import discover

BROKEN = sorted(Path(__file__).with_name("broken").glob("*.yaml"))
ENVIRON = {"HOME": "/home/somebody", "PASSWORD": "env-marker", "EMPTY": ""}
_EXPECT = re.compile(r"# expect: (\d+) (.*?) ?\| (.*)")


def expected(file: Path) -> list[tuple[int, str, str]]:
    found = [_EXPECT.fullmatch(line) for line in file.read_text().splitlines()]
    return [(int(match[1]), match[2], match[3]) for match in found if match]


def faults_of(file: Path) -> ConfigFaults:
    with pytest.raises(ConfigFaults) as raised:
        load(file, ENVIRON, discover)
    return raised.value


def test_there_are_many() -> None:
    assert len(BROKEN) >= 60
    assert all(expected(file) for file in BROKEN)


@pytest.mark.parametrize("file", BROKEN, ids=lambda file: file.stem)
def test_exactly_these_faults_are_told(file: Path) -> None:
    error = faults_of(file)
    assert [(fault.line, fault.key) for fault in error.faults] == [(line, key) for line, key, _ in expected(file)]
    for fault, (_, _, message) in zip(error.faults, expected(file), strict=True):
        assert fault.message == message
    lines = str(error).splitlines()
    assert len(lines) == len(error.faults) + 1
    assert lines[0].startswith(f"{file}:{error.faults[0].line}: ")
    assert lines[-1].endswith(f"in {file}: nothing was started")


@pytest.mark.parametrize("file", BROKEN, ids=lambda file: file.stem)
def test_no_secret_is_told(file: Path) -> None:
    assert "marker" not in str(faults_of(file))
    assert "marker" not in repr(faults_of(file))


@pytest.mark.parametrize("file", BROKEN, ids=lambda file: file.stem)
def test_the_lines_are_the_same_without_the_fast_parser(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "_LOADER", yaml.SafeLoader)
    error = faults_of(file)
    assert [(fault.line, fault.key) for fault in error.faults] == [(line, key) for line, key, _ in expected(file)]


@pytest.mark.parametrize(
    ("raw", "line", "message"),
    [
        (b"", 1, "there is no camera"),
        (b"\n\n# nothing\n", 1, "there is no camera"),
        (b"cameras:\n  door:\n    source: \xff\n", 3, "not UTF-8"),
        ("cameras: {Tür: {source: demo}}\n".encode("latin-1"), 1, "not UTF-8"),
        ("cameras:\n".encode("utf-16"), 1, "not UTF-8"),
        (b"cameras:\n  door:\x00\n", 2, "control character"),
        (b"\x7fELF\x02\x01\x01", 1, "control character"),
        (b"\t\n\tcameras:\n", 1, "tab"),
        (b"cameras: &a\n  door: *a\n", 2, "alias"),
        (b"&a\n" * 3, 1, "anchor"),
    ],
)
def test_what_is_hardly_yaml_at_all(tmp_path: Path, raw: bytes, line: int, message: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(raw)
    (fault, *_) = faults_of(file).faults
    assert fault.line == line
    assert message in fault.message


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_lines_are_counted_whatever_ends_them(tmp_path: Path, end: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(end.join(["cameras:", "  door:", "    source: demo", "    every: soon", ""]).encode())
    assert [(fault.line, fault.key) for fault in faults_of(file).faults] == [(4, "cameras.door.every")]


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(b"\xef\xbb\xbfcameras: {door: {source: demo}}\n")
    assert list(load(file, ENVIRON, discover).cameras) == ["door"]


@pytest.mark.parametrize("where", ["missing.yaml", "."])
def test_a_file_that_can_not_be_read_is_a_fault(tmp_path: Path, where: str) -> None:
    with pytest.raises(ConfigFaults, match="can't be read"):
        load(tmp_path / where, ENVIRON, discover)


def test_many_faults_are_cut_and_counted(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("cameras:\n" + "".join(f"  c{i}: {{source: demo, every: x}}\n" for i in range(80)))
    error = faults_of(file)
    assert len(error.faults) == 80
    assert str(error).splitlines()[50:] == ["… and 30 more", f"80 faults in {file}: nothing was started"]


def test_plugins_that_are_not_installed_at_all(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("cameras: {door: {source: demo}}\noutputs: {log: {}}\n")

    def nothing(_: Any) -> Registry:
        return Registry()

    with pytest.raises(ConfigFaults) as raised:
        load(file, ENVIRON, nothing)
    assert [fault.key for fault in raised.value.faults] == ["model", "cameras.door.source", "outputs.log"]
    assert all("run `make demo` or `pip install -e .`" in fault.message for fault in raised.value.faults)
