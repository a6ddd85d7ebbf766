"""What camscribe says of itself: one line a record, no secrets, and never in anybody's way."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SPEAK = """
import logging
from agent import logs
logs.configure({arguments})
log = logging.getLogger("camscribe.test")
{body}
print("done", flush=True)
"""


def speak(body: str, arguments: str = "'INFO'") -> list[str]:
    """What a process that logs so says on stderr."""
    script = SPEAK.format(arguments=arguments, body=body)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return done.stderr.splitlines()


def test_a_record_is_one_line_whatever_is_in_it():
    (line,) = speak(r"log.info('it said %s', 'one\ntwo\x1b[31m')")
    assert line.endswith(r"INFO    camscribe.test: it said one\ntwo\x1b[31m")


def test_json_holds_what_was_given_beside_the_words():
    (line,) = speak("log.info('scene %d', 4, extra={'truth': 'A cat.'})", "'INFO', as_json=True")
    record = json.loads(line)
    assert (record["level"], record["part"], record["message"]) == ("INFO", "camscribe.test", "scene 4")
    assert record["truth"] == "A cat."


@pytest.mark.parametrize("form", ["", ", as_json=True"])
def test_no_secret_is_said_not_even_in_a_traceback(form):
    body = "try: raise ValueError('rtsp://v:hunter2@cam')\nexcept ValueError: log.exception('no %s', 'hunter2')"
    lines = speak(body, f"'INFO', secrets=['hunter2']{form}")
    assert "ValueError" in "\n".join(lines)
    assert "hunter2" not in "\n".join(lines)


def test_a_reader_that_stands_still_stops_nobody_and_learns_what_it_missed():
    script = SPEAK.format(arguments="'INFO'", body="for _ in range(9000): log.info('x' * 200)")
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "done\n"  # although nobody has read a word of the log
    _, said = process.communicate(timeout=60)
    assert "lines of this log are lost" in said
    assert process.returncode == 0
