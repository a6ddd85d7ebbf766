"""Run by its path: ``python -I …/worker/__main__.py about|fetch|serve '{settings}'``.

The packages around this folder would bring in the agent, so they are passed off as empty ones here.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent
PACKAGE = "plugins.captioners.transformers"


def bare_packages() -> None:
    where = HERE.parent
    names = PACKAGE.split(".")
    for depth in range(len(names), 0, -1):
        bare = ModuleType(".".join(names[:depth]))
        bare.__path__ = [str(where)]
        sys.modules[bare.__name__] = bare
        where = where.parent


def main() -> None:
    bare_packages()
    task, settings = sys.argv[1], json.loads(sys.argv[2])
    if task == "about":
        from plugins.captioners.transformers.worker import about  # noqa: PLC0415  not before the packages are bare

        about.main()
    elif task == "fetch":
        from plugins.captioners.transformers.worker import fetch  # noqa: PLC0415

        fetch.main(settings)
    else:
        from plugins.captioners.transformers.worker import serve  # noqa: PLC0415

        serve.main(settings)


if __name__ == "__main__":
    main()
