"""The log output: one line an observation, whatever the model wrote and whoever reads it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import ValidationError

from agent.plugin import Delivery, OutputUnavailable
from plugins.outputs.log import LogConfig, LogOutput, text_line
from tests.fakes.deliveries import Hand, context, delivery, observation


@contextmanager
def stdout_into(file: int):
    """The process's standard output, as the plugin sees it, is ``file``."""
    before = sys.stdout
    with os.fdopen(os.dup(file), "w") as stream:
        sys.stdout = stream
        try:
            yield
        finally:
            sys.stdout = before


async def written(tmp_path: Path, *deliveries: Delivery, **options) -> str:
    path = tmp_path / "seen.log"
    hand = Hand(deliveries)
    output = LogOutput(LogConfig(file=path, **options), context(tmp_path))
    await output.deliver(hand.__aiter__())
    assert hand.confirmed == [one.seq for one in deliveries]
    return path.read_text()


async def test_a_line_for_people(tmp_path, monkeypatch):
    text = await written(tmp_path, delivery(0), delivery(1, None))
    at = observation(0).taken_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    first, second = text.splitlines()
    assert first == f"{at} front_door: A person stands at the door. (770 ms)"
    assert second.endswith("front_door: no caption: timeout: The camera sent no picture within 5 s.")


def test_a_long_look_is_told_in_seconds():
    slow = observation().latency_ms.model_copy(update={"total": 12_345})
    assert text_line(observation(latency_ms=slow), "%H").endswith("(12.3 s)")


async def test_json_is_the_observation_on_one_line(tmp_path):
    text = await written(tmp_path, delivery(1, "Zwei Männer\nund ein Hund 🐕"), delivery(2, None), format="json")
    first, second = (json.loads(line) for line in text.splitlines())
    assert first == observation(1, "Zwei Männer\nund ein Hund 🐕").model_dump(mode="json")
    assert "Männer" in text
    assert second["error"]["kind"] == "timeout"


NASTY = "a\nb\r\x1b[31mred\x07 \u2028line \u202eesrever\x85next \x9b2J \u00a0ok 👨\u200d👩\u200d👧 \U000e0041"


@pytest.mark.parametrize("form", ["text", "json"])
async def test_a_models_words_stay_on_one_line_and_move_no_cursor(tmp_path, form):
    text = await written(tmp_path, delivery(1, NASTY), format=form)
    assert len(text.splitlines()) == 1
    assert text.endswith("\n")
    assert not set(text[:-1]) & set("\r\n\x1b\x07\x85\x9b\u2028\u202e\U000e0041")
    assert "👨\u200d👩\u200d👧" in text
    if form == "json":
        assert json.loads(text)["caption"] == NASTY


async def test_a_rotated_file_is_made_again(tmp_path):
    path = tmp_path / "seen.log"
    hand = Hand(stay=True)
    output = LogOutput(LogConfig(file=path), context(tmp_path))
    running = asyncio.create_task(output.deliver(hand.__aiter__()))
    hand.give(delivery(1, "One."))
    await hand.confirms(1)
    await asyncio.to_thread(path.rename, tmp_path / "seen.log.1")
    hand.give(delivery(2, "Two."))
    hand.stop()
    await asyncio.wait_for(running, 10)
    assert "One." in (tmp_path / "seen.log.1").read_text()
    assert "Two." in path.read_text()
    assert "One." not in path.read_text()


async def test_what_cannot_be_written_is_unavailable_and_says_where(tmp_path):
    output = LogOutput(LogConfig(file=tmp_path / "missing" / "seen.log"), context(tmp_path))
    hand = Hand([delivery()])
    with pytest.raises(OutputUnavailable, match=r"Can't write to .*missing/seen\.log: No such file or directory"):
        await output.deliver(hand.__aiter__())
    assert hand.confirmed == []


async def test_a_named_pipe_without_a_reader_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    output = LogOutput(LogConfig(file=tmp_path / "pipe"), context(tmp_path))
    with pytest.raises(OutputUnavailable, match="Can't write to"):
        await asyncio.wait_for(output.deliver(Hand([delivery()]).__aiter__()), 10)


async def test_standard_output_by_default(tmp_path):
    reading, writing = os.pipe()
    with stdout_into(writing):
        await LogOutput(LogConfig(), context(tmp_path)).deliver(Hand([delivery(), delivery(2)]).__aiter__())
    os.close(writing)
    with os.fdopen(reading) as text:
        lines = await asyncio.to_thread(text.readlines)
    assert [line[8:] for line in lines] == [" front_door: A person stands at the door. (770 ms)\n"] * 2


async def test_a_reader_that_stands_still_holds_up_nobody_else_and_gets_whole_lines_later(tmp_path):
    reading, writing = os.pipe()
    output = LogOutput(LogConfig(), context(tmp_path))
    long = [delivery(n, f"{n} " + "word " * 4000) for n in range(1, 9)]  # 160 kB: more than a pipe holds
    hand = Hand(long)
    with stdout_into(writing):
        stuck = asyncio.create_task(output.deliver(hand.__aiter__()))
        await hand.confirms(2)
        assert (await asyncio.wait({stuck}, timeout=0.3)) == (set(), {stuck})  # the loop turns, the output waits
        assert len(hand.confirmed) < 8
        stuck.cancel()  # the agent's deadline
        with pytest.raises(asyncio.CancelledError):
            await stuck
        again = asyncio.create_task(output.deliver(Hand(long[len(hand.confirmed) :]).__aiter__()))
        with os.fdopen(reading) as text:
            lines = asyncio.create_task(asyncio.to_thread(text.readlines))
            await asyncio.wait_for(again, 10)
            sys.stdout.close()
            os.close(writing)
            whole = [line for line in await asyncio.wait_for(lines, 10) if line.endswith(" (770 ms)\n")]
    assert whole == [text_line(one.observation, "%H:%M:%S") + "\n" for one in long]


async def test_a_reader_that_is_gone_is_unavailable(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    with stdout_into(writing), pytest.raises(OutputUnavailable, match="standard output: Broken pipe"):
        await LogOutput(LogConfig(), context(tmp_path)).deliver(Hand([delivery()]).__aiter__())
    os.close(writing)


async def test_dev_null_waits_for_nobody(tmp_path):
    file = os.open(os.devnull, os.O_WRONLY)
    with stdout_into(file):
        await asyncio.wait_for(LogOutput(LogConfig(), context(tmp_path)).deliver(Hand([delivery()]).__aiter__()), 10)
    os.close(file)


def test_a_relative_file_counts_from_the_configs_folder():
    config = LogConfig.model_validate({"file": "seen.log"}, context={"folder": "/etc/camscribe"})
    assert config.file == Path("/etc/camscribe/seen.log")


def test_every_field_is_described_and_unknown_ones_are_refused():
    assert all(field.description for field in LogConfig.model_fields.values())
    with pytest.raises(ValidationError, match="Extra inputs"):
        LogConfig.model_validate({"colour": True})
