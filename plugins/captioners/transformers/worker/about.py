"""What this Python has, as one line of JSON: quick, because nothing large is imported for it."""

from __future__ import annotations

import json
import sys
from importlib import metadata

NEEDED = ("torch", "transformers", "huggingface_hub", "pillow", "numpy")


def main() -> None:
    versions: dict[str, str | None] = {}
    for name in NEEDED:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    sys.stdout.write(json.dumps({"python": sys.version.split()[0], "versions": versions}) + "\n")
