"""Files that are made to hurt end at once, and cost next to nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

MIB = 2**20

_LOAD = """
import json, resource, sys, time
from pathlib import Path
from agent.config import ConfigFaults, load
from tests.agent.config.household import discover

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

before, began, faults = peak(), time.process_time(), []
try:
    load(Path(sys.argv[1]), {"HOME": "/home/somebody"}, discover)
except ConfigFaults as error:
    faults = [(fault.line, fault.key, fault.message[:200]) for fault in error.faults]
json.dump({"seconds": time.process_time() - began, "bytes": peak() - before, "faults": faults}, sys.stdout)
"""


def _laughs() -> str:
    levels = ["a0: &a0 [lol, lol]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))]
    return "\n".join(levels)


def _chain() -> str:
    """Each alias one level deeper than the last."""
    return "\n".join(["a0: &a0 {k: v}", *(f"a{n}: &a{n} {{k: *a{n - 1}}}" for n in range(1, 2000))])


def _quadratic() -> str:
    return "a: &a [" + "x, " * 15_000 + "]\nb: [" + "*a, " * 200_000 + "]"


def _names() -> str:
    """Each name is compared with each camera's."""
    cameras = "".join(f" camera_{n}: {{source: demo}}\n" for n in range(2500))
    wrong = ", ".join(f"kamera_{n}" for n in range(50))
    return f"cameras:\n{cameras}outputs:\n" + "".join(
        f" log_{n}: {{use: log, cameras: [{wrong}]}}\n" for n in range(90)
    )


BOMBS: dict[str, tuple[Callable[[], str], str]] = {
    "billion laughs": (_laughs, "aliases make more than 20000 values"),
    "a long chain of aliases": (_chain, "nested deeper than 20"),
    "many aliases of a long list": (_quadratic, "more than 20000"),
    "10 MB": (lambda: "# x\n" * 2_500_000, "too large"),
    "10,000 brackets deep": (lambda: "a: " + "[" * 10_000 + "]" * 10_000, "nested deeper than 20"),
    "10,000 braces deep": (lambda: "{a: " * 10_000 + "1" + "}" * 10_000, "nested deeper than 20"),
    "10,000 dashes deep": (lambda: "- " * 10_000 + "x", "nested deeper than 20"),
    "10,000 question marks deep": (lambda: "? " * 10_000 + "x", "a key must be a text"),
    "10,000 lines deep": (lambda: "\n".join(" " * n + "a:" for n in range(1400)), "nested deeper than 20"),
    "a mebibyte of one key": (lambda: "a: b\n" * (MIB // 5 - 1), "more than 100 things are wrong"),
    "a mebibyte of keys": (lambda: "\n".join(f"a{n}: b" for n in range(90_000)), "more than 20000 values"),
    "a mebibyte of commas": (lambda: "a: [" + "x," * (MIB // 2 - 100) + "]", "more than 20000 values"),
    "a mebibyte of base 60": (lambda: "cameras: " + "1:" * (MIB // 2 - 100) + "1", "found '1:1:1"),
    "a mebibyte of digits": (lambda: "cameras: " + "9" * (MIB - 100), "found '999"),
    "a mebibyte of exponents": (lambda: "cameras: 1e" + "9" * (MIB - 100), "found '1e9"),
    "a mebibyte of text": (lambda: "cameras: " + "x" * (MIB - 100), "found 'xxx"),
    "a mebibyte of ${": (lambda: "cameras: '" + "${" * (MIB // 2 - 100) + "'", "not closed"),
    "a mebibyte of $${": (lambda: "cameras: 'x" + "$${" * (MIB // 3 - 100) + "'", "found 'x${"),
    "a mebibyte of tags": (lambda: "a: [" + "!x y, " * (MIB // 7) + "]", "more than 100 things are wrong"),
    "a mebibyte of anchors": (lambda: "\n".join(f"- &a{n} x" for n in range(80_000)), "more than 20000 values"),
    "an open quote": (lambda: 'a: "' + "x " * (MIB // 2 - 100), "never closed"),
    "a great many cameras": (lambda: "cameras:\n" + "".join(f" Ä{n}: {{evry: 1}}\n" for n in range(6000)), "Write "),
    "a great many wrong names": (_names, "more than 200 things"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_costs_less_than_a_second_and_100_mb(name: str, tmp_path: Path) -> None:
    make, message = BOMBS[name]
    file = tmp_path / "config.yaml"
    file.write_text(make())
    run = subprocess.run([sys.executable, "-c", _LOAD, file], capture_output=True, text=True, timeout=60, check=True)
    told = json.loads(run.stdout)
    assert told["faults"], "a bomb is a fault"
    assert any(message in fault[2] for fault in told["faults"]), told["faults"][:3]
    assert all(fault[0] >= 1 for fault in told["faults"])
    assert told["seconds"] < 1
    assert told["bytes"] < 100_000_000
    assert "Traceback" not in run.stderr


def test_a_file_without_end_is_read_no_further_than_allowed() -> None:
    run = subprocess.run(
        [sys.executable, "-c", _LOAD, "/dev/zero"], capture_output=True, text=True, timeout=60, check=True
    )
    told = json.loads(run.stdout)
    assert "too large" in told["faults"][0][2]
    assert told["seconds"] < 1
