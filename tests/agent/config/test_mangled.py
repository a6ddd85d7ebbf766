"""Whatever is done to a config, faults come of it or settings: nothing else is raised, and nothing is shown."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from agent.config import ConfigFaults, load
from agent.plugin import SecretUrl
from tests.agent.config.household import discover

WHOLE = """
model: {preset: tiny, threads: 4}
captioners:
  small: {preset: tiny}
cameras:
  front_door:
    name: The door
    source: rtsp://viewer:hunter-marker@10.0.0.2:554/stream
    every: 1m30s
    crop: [0, 0.25, 1, 0.75]
    masks: [[[0, 0], [0.5, 0], [0.5, 0.5]]]
    captioner: [small, default]
    enabled: no
  back_yard:
    source: {use: file, path: clip.mp4}
    cron: "*/5 8-18 * * mon-fri"
outputs:
  log:
  mqtt:
    host: broker
    tls: {ca: ca.pem, key_password: ${KEY}}
    password: hunter-marker
  alerts:
    use: webhook
    url: https://example.org/hook/hunter-marker
    headers: {X-Token: hunter-marker}
    cameras: front_door
web: {port: 8080}
keep: {days: 0.5, size: 500MB}
"""
JUNK = (
    *":{}[]'\"#|>-?~%@\\&*!",
    *("&a", "*a", "!x", "\t", "\n", "  ", "null", "yes", "no", "1:30", "0x1F", "1e5", ".inf", ".nan", "0", "-1"),
    *("${", "${X}", "${KEY}", "${file:/etc}", "$${", "<<", "ü", "\x85", "\u2028", "9" * 30, "[1,2]", "{a: b}"),
    *("---", "...", "''", "http://[", "rtsp://a:b@[x/", "~nobody/x", "2026-01-01", "!!str", "!!binary x", "!!int"),
)


def _mangled(rng: random.Random) -> str:
    lines = WHOLE.splitlines()
    for _ in range(rng.randint(1, 4)):
        number = rng.randrange(len(lines))
        line, junk = lines[number], rng.choice(JUNK)
        cut = rng.randint(0, len(line))
        lines[number] = rng.choice(
            [
                line[:cut] + junk + line[cut:],
                f"{line.split(':')[0]}: {junk}",
                line + junk,
                " " * rng.randint(0, 6) + line.strip(),
                f"{line}\n{rng.choice(lines)}",
                "",
            ]
        )
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("seed", range(8))
def test_a_mangled_config_has_faults_or_works(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    file = tmp_path / "config.yaml"
    for _ in range(150):
        text = _mangled(rng)
        file.write_text(text)
        try:
            told = repr(load(file, {"HOME": "/home/somebody", "KEY": "key-marker"}, discover))
            lines = [1]
        except ConfigFaults as error:
            told = str(error)
            lines = [fault.line or 0 for fault in error.faults]
        assert "marker" not in told, text
        assert all(1 <= line <= text.count("\n") + 2 for line in lines)


@pytest.mark.parametrize("url", ["rtsp://u:marker@[bad", "http://[marker", "marker", "rtsp://u:ma@rker/x?marker=1#"])
def test_a_broken_url_is_masked_too(url: str) -> None:
    assert "marker=1" not in str(SecretUrl(url))
    assert "u:ma" not in repr(SecretUrl(url))
