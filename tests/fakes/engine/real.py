"""The real engine behind llama-server's command line, for machines without a llama-server.

``real_server(folder)`` writes an executable ``llama-server`` there that serves with the engine in the wheel.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from plugins.captioners.llama_server import openmp, wheel

FLAGS = ("--model", "--mmproj", "--host", "--port", "--ctx-size", "--parallel", "--threads", "--alias", "--jinja")


def real_server(folder: Path) -> Path:
    path = folder / "llama-server"
    path.write_text(
        f"#!{sys.executable}\n"
        f"import sys\nsys.path.insert(0, {str(Path(__file__).parents[3])!r})\n"
        "from tests.fakes.engine.real import main\nmain()\n"
    )
    path.chmod(0o755)
    return path


def main() -> None:
    if sys.argv[1:] == ["--help"]:
        print("\n".join(f"{flag}  an option" for flag in FLAGS))
        return
    if sys.argv[1:] == ["--version"]:
        print("version: 11549 (the wheel)")
        return
    if any(word.endswith("/none.gguf") for word in sys.argv):
        print("system_info: n_threads = 2 (n_threads_batch = 2) / 2 | CPU : AVX2 = 1 | ")
        sys.exit(1)
    parser = argparse.ArgumentParser()
    for flag in FLAGS:
        if flag == "--jinja":
            parser.add_argument(flag, action="store_true")
        else:
            parser.add_argument(flag)
    said = parser.parse_args()
    settings = {
        "model": said.model,
        "mmproj": said.mmproj,
        "alias": said.alias,
        "host": said.host,
        "port": int(said.port or 0),
        "context": int(said.ctx_size),
        "parallel": int(said.parallel),
        "threads": int(said.threads),
        "image_tokens": None,
        "least_tokens": None,
        "gpu_layers": None,
    }
    added = openmp.environment(Path(sys.argv[0]).parent / "lib")
    words = [sys.executable, "-I", str(wheel.__file__), json.dumps(settings)]
    os.execve(sys.executable, words, {**os.environ, **added})
