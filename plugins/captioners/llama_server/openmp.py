"""GNU's OpenMP library, the one thing the wheel's engine needs of the system and a bare Debian lacks.

The ``pykdtree`` wheel brings a copy, under a name that only pykdtree looks for. The engine finds it by its right name
in a folder of ours.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import sys
from pathlib import Path

from agent.plugin import Misconfigured

LIBRARY = "libgomp.so.1"
CARRIER = "pykdtree"


def environment(folder: Path) -> dict[str, str]:
    """What the engine's environment needs besides ours; nothing where the system has the library.

    Makes ``folder``. Raises Misconfigured where there is no copy either.
    """
    if sys.platform != "linux" or _on_this_system():
        return {}
    copy = _carried()
    if copy is None:
        raise Misconfigured(
            f"The engine that comes with camscribe needs {LIBRARY}, which this system lacks. Install it: "
            "'sudo apt install libgomp1', or on Fedora 'sudo dnf install libgomp'."
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    link = folder / LIBRARY
    link.unlink(missing_ok=True)
    link.symlink_to(copy)
    others = os.environ.get("LD_LIBRARY_PATH")
    return {"LD_LIBRARY_PATH": f"{folder}:{others}" if others else str(folder)}


def _on_this_system() -> bool:
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return False
    return True


def _carried() -> Path | None:
    try:
        files = importlib.metadata.files(CARRIER) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = (Path(str(file.locate())) for file in files if file.name.startswith("libgomp"))
    return next((path.resolve() for path in found if path.exists()), None)
