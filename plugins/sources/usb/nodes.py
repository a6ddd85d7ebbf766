"""The cameras that Linux knows of, by the names it gives them. Blocks a little; opens no camera."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Places:
    """Where to look; tests put in their own."""

    dev: Path = Path("/dev")
    sys: Path = Path("/sys/class/video4linux")
    proc: Path = Path("/proc")


@dataclass(frozen=True, slots=True)
class Node:
    path: Path
    name: str
    """What the camera calls itself."""
    index: int
    """0 is where its pictures come from; UVC cameras have a second node for what accompanies them."""
    device: Path
    """The piece of hardware: the same for all nodes of a camera."""
    usb: bool
    links: tuple[Path, ...]
    """Names that stay when numbers change: by-id, then by-path."""


def nodes(places: Places) -> list[Node]:
    links = {kind: _links(places.dev / "v4l" / kind) for kind in ("by-id", "by-path")}
    found = []
    for entry in sorted(_children(places.sys), key=lambda entry: (len(entry.name), entry.name)):
        path = places.dev / entry.name
        device = entry / "device"
        with suppress(OSError, ValueError):  # unplugged meanwhile
            named = tuple(by[path.resolve()] for by in links.values() if path.resolve() in by)
            on_usb = (device / "subsystem").resolve().name == "usb"
            name, index = (entry / "name").read_text("utf-8", "replace").strip(), int((entry / "index").read_text())
            found.append(Node(path, name, index, device.resolve(), on_usb, named))
    return found


def cameras(places: Places) -> dict[str, str]:
    """What to write as the device of each USB camera, and its name.

    By-id, else by-path, else its number. Cameras alike that have no serial number share one by-id name: then by-path.
    """
    found = [node for node in nodes(places) if node.usb and node.index == 0]
    alike = Counter(node.name for node in found)
    identified = Counter(node.name for node in found if _by_id(node))
    named = {}
    for node in found:
        stable = node.links if alike[node.name] == identified[node.name] else node.links[-1:]
        named[str(stable[0] if stable else node.path)] = node.name
    return named


def beside(path: Path, places: Places) -> Path | None:
    """Where the pictures of the camera come from, one of whose other nodes this is."""
    known = nodes(places)
    own = next((node for node in known if node.path.resolve() == path.resolve()), None)
    if own is None:
        return None
    best = next((node for node in known if node.device == own.device and node.index == 0 and node != own), None)
    return (best.links or (best.path,))[0] if best else None


def holder(path: Path, places: Places) -> str:
    """Who has the device open, as far as this user may know: ``zoom (process 4711)``, or nothing."""
    real = str(path.resolve())
    for process in _children(places.proc):
        if not process.name.isdecimal() or int(process.name) == os.getpid():
            continue
        with suppress(OSError):  # it ended meanwhile, or is somebody else's
            if any(str(fd.readlink()) == real for fd in (process / "fd").iterdir()):
                if _parent(process) == os.getppid():
                    return "another camera of this camscribe"
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
    return ""


def _parent(process: Path) -> int:
    return int((process / "stat").read_text().rpartition(")")[2].split()[1])


def _by_id(node: Node) -> bool:
    return any(link.parent.name == "by-id" for link in node.links)


def _links(folder: Path) -> dict[Path, Path]:
    return {link.resolve(): link for link in sorted(_children(folder))}


def _children(folder: Path) -> Iterator[Path]:
    try:
        yield from folder.iterdir()
    except OSError:  # a machine without cameras has no such folder
        return
