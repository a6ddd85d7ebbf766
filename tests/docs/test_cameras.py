"""docs/cameras.md and docs/states.md: each address and example loads, each state is there, each link leads on."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from agent.config import Config, load
from agent.errors import Failure
from agent.values import CameraState
from plugins.sources.http import trouble as http
from plugins.sources.rtsp import trouble as rtsp
from plugins.sources.rtsp.address import PORTS
from plugins.sources.usb import trouble as usb
from tests.fakes.service import ROOT

CAMERAS, STATES = ROOT / "docs" / "cameras.md", ROOT / "docs" / "states.md"
README = ROOT / "README.md"
PASSWORD = "it's 100%41 #1: @home/?"
NOT_A_CAMERAS = {
    Failure.ENGINE,
    Failure.ENGINE_TIMEOUT,
    Failure.BUDGET,
    Failure.REFUSED,
    Failure.NO_ANSWER,
    Failure.STOPPED,
    Failure.INTERNAL,
}
"""A failure of any other kind is a camera's, and has its row."""


def section(document: Path, title: str) -> str:
    depth = re.search(rf"^(#+) {re.escape(title)}$", document.read_text(), re.MULTILINE)[1]
    rest = document.read_text().split(f"\n{depth} {title}\n")[1]
    return re.split(rf"^#{{1,{len(depth)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of each row of a section's tables, without the heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    heads = {i for i, line in enumerate(lines) if i + 1 < len(lines) and set(lines[i + 1]) <= set("|- ")}
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for i, line in enumerate(lines)
        if i not in heads and not set(line) <= set("|- ")
    ]


def code(cell: str) -> str:
    return found[1] if (found := re.fullmatch(r"\[?`([^`]+)`(\]\(#.*\))?", cell)) else ""


STREAMS, PICTURES = rows(section(CAMERAS, "By maker")), rows(section(CAMERAS, "Pictures over HTTP"))


def patterns() -> list[str]:
    """Every address of the two tables; that of a large stream is its small one's with another path."""
    found = []
    for _, small, large, _ in STREAMS:
        found.append(code(small))
        if code(large):
            found.append(re.match(r"rtsps?://[^/]+", code(small))[0] + code(large))
    return [*found, *(code(source) for _, source, _, _ in PICTURES)]


def loaded(folder: Path, text: str) -> Config:
    """The config, with every variable and file that it names filled in."""
    for name in re.findall(r"\$\{file:([^}]+)\}", text):
        (folder / Path(name).name).write_text(PASSWORD)
        text = text.replace(name, str(folder / Path(name).name))
    environ = {name: "x9" if "TOKEN" in name else PASSWORD for name in re.findall(r"\$\{([A-Z_]+)\}", text)}
    (folder / "config.yaml").write_text(text)
    return load(folder / "config.yaml", {"HOME": "/home/somebody"} | environ)


def test_the_tables_are_whole():
    assert len(STREAMS) >= 25
    assert len(PICTURES) >= 15
    assert all(len(row) == 4 and row[3] in ("maker", "users") for row in [*STREAMS, *PICTURES])
    assert all(code(row[1]).startswith(("rtsp://", "rtsps://")) for row in STREAMS)
    assert all(code(row[1]).startswith("http://") for row in PICTURES)


@pytest.mark.parametrize("pattern", patterns())
def test_each_address_is_a_source(pattern, tmp_path):
    text = pattern
    for placeholder, value in {"HOST": "192.168.1.20", "CAMERA": "yard", "USER": "viewer"}.items():
        text = text.replace(placeholder, value)
    login, at, _ = text.rpartition("@")
    text = text.replace("PASSWORD", "${PASSWORD}" if at and "PASSWORD" in login else "${PLAIN}")
    text = text.replace("KEY", "${PLAIN}")
    (tmp_path / "config.yaml").write_text(f"cameras:\n  yard:\n    source: {text}\n")
    config = load(tmp_path / "config.yaml", {"PASSWORD": PASSWORD, "PLAIN": "q7w8e9"})
    source = config.cameras["yard"].source
    assert source.use == ("http" if pattern.startswith("http") else "rtsp")
    assert not re.search("[A-Z]{4}", re.sub("MJPEG|ISAPI|[A-Za-z]+[.]fcgi", "", source.options.url.get_secret_value()))
    if source.use == "rtsp":
        scheme, port = re.match(r"(rtsps?)://.*HOST(?::(\d+))?", pattern).groups()
        address = source.options.address
        assert (address.host, address.port) == ("192.168.1.20", int(port or PORTS[scheme]))
    for placeholder, secret in {"${PASSWORD}": PASSWORD, "${PLAIN}": "q7w8e9"}.items():
        assert (secret in config.secrets) == (placeholder in text)
    assert PASSWORD not in repr(config)


def examples() -> list[str]:
    return [
        block for page in (CAMERAS, STATES) for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)
    ]


@pytest.mark.parametrize("example", examples(), ids=lambda example: re.findall(r"^  (\w+):", example, re.MULTILINE)[0])
def test_each_example_loads(example, tmp_path):
    config = loaded(tmp_path, example)
    assert list(config.cameras) == re.findall(r"^  (\w+):", example, re.MULTILINE)


def test_there_are_examples_of_every_kind_of_camera(tmp_path):
    used = {camera.source.use for example in examples() for camera in loaded(tmp_path, example).cameras.values()}
    assert used >= {"rtsp", "http", "usb", "file"}


def test_every_state_has_its_row_and_what_to_do():
    states = [state.value for state in CameraState]
    table = STATES.read_text().split("\n## ")[0]
    assert [code(row[0]) for row in rows(table)] == states
    assert re.findall(r"^### `(.*)`$", STATES.read_text(), re.MULTILINE) == states
    for state in states:
        text = section(STATES, f"`{state}`")
        assert state == "live" or "**To do:**" in text


def test_every_kind_of_a_cameras_failure_has_its_row():
    text = section(STATES, "Kinds of error")
    assert [code(row[0]) for row in rows(text)] == [kind.value for kind in Failure if kind not in NOT_A_CAMERAS]
    assert set(re.findall(r"`(\w+)`", text.rsplit("|", 1)[1])) == {kind.value for kind in NOT_A_CAMERAS}


def troubles() -> list[tuple[str, Any]]:
    """Everything the sources know that can be wrong with a camera."""
    return [
        (f"{module.__name__.split('.')[2]} {name}", trouble)
        for module in (rtsp, http, usb)
        for name, trouble in vars(module).items()
        if isinstance(trouble, module.Trouble)
    ]


@pytest.mark.parametrize(("name", "trouble"), troubles(), ids=lambda part: part if isinstance(part, str) else "")
def test_what_camscribe_says_of_a_camera_stands_under_its_state_and_kind(name, trouble):
    """A new trouble needs a row in docs/states.md, with what to do about it."""
    table = rows(section(STATES, f"`{trouble.state.value}`"))
    words = re.split(r"[{(:]", trouble.what)[0].strip()
    assert any(words in row[0] for row in table)
    kinds = {code(row[0]): row[2] for row in rows(section(STATES, "Kinds of error"))}
    assert f"`{trouble.state.value}`" in kinds[trouble.kind.value]


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    heads = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def links() -> list[tuple[Path, str]]:
    return [
        (page, target)
        for page in (CAMERAS, STATES, README)
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text())
        if not target.startswith("http")
    ]


@pytest.mark.parametrize(("page", "target"), links(), ids=lambda part: getattr(part, "name", part))
def test_each_link_leads_somewhere(page, target):
    path, _, anchor = target.partition("#")
    there = (page.parent / path).resolve() if path else page
    assert there.exists()
    assert not anchor or anchor in anchors(there)


def test_the_pages_lead_to_each_other_and_the_readme_to_them():
    found = {(page.name, target.partition("#")[0]) for page, target in links()}
    assert {("cameras.md", "states.md"), ("states.md", "cameras.md")} <= found
    assert {("README.md", "docs/cameras.md"), ("README.md", "docs/states.md")} <= found


def test_the_picture_of_an_address_is_what_its_script_makes():
    made = runpy.run_path(str(ROOT / "docs" / "pictures" / "make_address.py"))["picture"]()
    assert (ROOT / "docs" / "pictures" / "address.svg").read_text() == made
