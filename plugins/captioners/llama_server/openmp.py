"""GNU's OpenMP library, the one thing the wheel's engine needs of the system and a bare Debian lacks.

The ``pykdtree`` wheel brings a copy, under a name that only pykdtree looks for. The engine finds it by its right name
in a folder of ours.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import sys
from pathlib import Path

from agent.plugin import Misconfigured

LIBRARY = "libgomp.so.1"
CARRIER = "pykdtree"


def library_path(folder: Path) -> str | None:
    """What the engine's LD_LIBRARY_PATH has to name, or None where the system has the library.

    Makes ``folder``. Raises Misconfigured where there is no copy either.
    """
    if sys.platform != "linux" or _on_this_system():
        return None
    copy = _carried()
    if copy is None:
        raise Misconfigured(
            f"The engine that comes with camscribe needs {LIBRARY}, which this system lacks. Install it: "
            "'sudo apt install libgomp1', or on Fedora 'sudo dnf install libgomp'."
        )
    folder.mkdir(mode=0o700, exist_ok=True)
    link = folder / LIBRARY
    link.unlink(missing_ok=True)
    link.symlink_to(copy)
    return str(folder)


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
