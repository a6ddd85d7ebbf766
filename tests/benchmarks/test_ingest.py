"""The ingest benchmark works, what it measures keeps the promises, and the page shows what it prints."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from benchmarks.ingest import plan, report, streams
from benchmarks.ingest.__main__ import arguments, cases_of, status
from benchmarks.ingest.measure import measure
from benchmarks.ingest.plan import Case
from benchmarks.ingest.promises import Verdict, pair_of, verdicts
from benchmarks.ingest.results import Result
from benchmarks.ingest.server import ROOT, cameras
from benchmarks.ingest.streams import Stream
from tests.fakes.waiting import eventually

PAGE = ROOT / "docs" / "performance.md"
SMALL = Stream(size=(320, 240), gop=25, bit_rate=300_000, pictures=250)


def good(cases: list[Case]) -> list[Result]:
    """Rows that keep every promise."""
    return [
        Result(
            case,
            seconds=10,
            cpu_seconds=0.1 * case.cameras * (10 if case.way == "opencv" else 1),
            ages=[0.1, 0.2],
            waits=[1.0, 2.0],
            megabytes=10,
            megabytes_peak=11,
        )
        for case in cases
    ]


@pytest.mark.parametrize("way", ["camscribe", "opencv", "ffmpeg"])
async def test_every_method_hands_over_what_was_sent_just_now(way: str) -> None:
    if plan.WAYS[way].missing and os.environ.get("CI") != "true":
        pytest.skip("ffmpeg is not installed")
    clip = await streams.made_ready(SMALL)
    async with cameras(SMALL, 2, clip) as served:
        result = await measure(Case(way, 2, 5, every=1, stream=SMALL), served, lambda _over: None)
    assert not result.missing, result.missing + result.reason
    assert len(result.ages) >= 5
    assert max(result.ages) < 2
    assert not result.damaged
    assert 0 < result.cpu_ms < 500
    assert 0 < result.megabytes <= result.megabytes_peak
    assert ours(psutil.Process()) == []


def ours(root: psutil.Process) -> list[psutil.Process]:
    """The benchmark's processes below ``root``, and the ffmpegs."""
    found = []
    for process in root.children(recursive=True):
        words = " ".join(process.cmdline())
        if process.status() != psutil.STATUS_ZOMBIE and ("benchmarks.ingest" in words or words.startswith("ffmpeg")):
            found.append(process)
    return found


@pytest.mark.timeout(300)  # the stream may have to be encoded first
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
async def test_nothing_is_left_when_it_is_stopped(how: signal.Signals) -> None:
    """Where a Ctrl-C or worse comes while a row is being measured."""
    command = [sys.executable, "-m", "benchmarks.ingest", "--cameras", "1", "--methods", "camscribe"]
    await streams.made_ready(plan.USUAL)
    bench = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=asyncio.subprocess.PIPE)
    root = psutil.Process(bench.pid)
    await eventually(lambda: len(ours(root)) == 2, 60)
    server_and_client = ours(root)
    bench.send_signal(how)
    assert bench.stderr is not None
    said = (await asyncio.wait_for(bench.stderr.read(), 30)).decode()
    status = await asyncio.wait_for(bench.wait(), 30)
    assert "Traceback" not in said
    assert status == (130 if how is signal.SIGINT else -signal.SIGKILL)
    await eventually(lambda: not any(process.is_running() for process in server_and_client), 20)


def test_promise_beyond_its_limit_is_broken_or_not_judged() -> None:
    beyond = Verdict("CPU", 16, 15, " ms")
    assert beyond.kept is False
    assert replace(beyond, disturbed="the server was late").kept is None
    assert replace(beyond, value=15, disturbed="the server was late").kept is True
    assert replace(beyond, at_least=True).kept is True
    assert replace(beyond, at_least=True, disturbed="much else ran, perhaps while it was the other's turn").kept is None
    assert [status([replace(beyond, value=1)]), status([beyond]), status([])] == [0, 1, 0]
    assert status([replace(beyond, disturbed="late")]) == 3


def test_promises_are_judged_by_the_rows_they_are_about() -> None:
    rows = good(cases_of(arguments([])))
    assert [one.kept for one in verdicts(rows)] == [True] * len(verdicts(rows))
    assert sum("over ours" in one.what for one in verdicts(rows)) == 1

    def broken(**wrong: object) -> list[str]:
        worse = [replace(one, **wrong) if one.case.way == "camscribe" else one for one in rows]
        return [one.what for one in verdicts(worse) if one.kept is False]

    assert broken(cpu_seconds=1e3) == [
        "1 camera, CPU a camera-second",
        "8 cameras, CPU a camera-second",
        "16 cameras, CPU a camera-second",
        "2 cameras, CPU of OpenCV reader threads over ours, in turns",
    ]
    assert len(broken(ages=[0.1, 0.6])) == len(broken(missed=1)) == len(broken(damaged=1)) == 3
    assert len(broken(megabytes_peak=31.0)) == 2
    assert any("no picture" in what for what in broken(missing="not measured: 0 of 8 live"))


def test_row_that_proves_nothing_says_so() -> None:
    [row] = good([Case("opencv", 16, 45)])
    late = replace(row, server_late_p99_ms=250.0)
    assert report.row(late)[4].endswith("*")
    assert any("250 ms late" in line for line in report.remarks([late]))
    assert replace(row, server_sent_share=0.9).disturbed
    assert replace(row, others_cores=1.0).disturbed
    behind = replace(row, ages=[14.0, 17.0])
    [fine] = good([Case("opencv", 1, 45)])
    assert any("would take 1.6 cores" in line for line in report.remarks([fine, behind]))


def test_method_that_is_not_installed_is_a_row(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    case = Case("ffmpeg", 8, 45)
    assert "not measured: no ffmpeg" in report.row(Result(case, missing=plan.WAYS["ffmpeg"].missing))


def cells(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]


@pytest.mark.parametrize(("part", "extra"), [("ingest", []), ("ingest-more", ["--more"])])
def test_page_has_the_rows_and_columns_the_tool_prints(part: str, extra: list[str]) -> None:
    rows = [one for one in good(cases_of(arguments(extra))) if (one.case.table == "more") == bool(extra)]
    facts = dict.fromkeys(("date", "machine", "cores", "memory_gb", "system", "python", "av", "opencv"), "")
    facts |= {"ffmpeg": "", "commit": "", "command": ""}
    printed = cells(report.markdown(rows, facts)[part])
    shown = cells(report.between(PAGE.read_text(), part)[1])
    labels = len(printed[0]) - len(report.NUMBERS)
    assert shown[0] == printed[0]
    assert [row[:labels] for row in shown] == [row[:labels] for row in printed]
    assert not any("no ffmpeg" in cell for row in shown for cell in row)


def test_page_is_written_between_its_marks_only(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(PAGE.read_text())
    report.write(page, {"ingest": "| new |"})
    assert report.between(page.read_text(), "ingest")[1] == "| new |"
    assert report.between(page.read_text(), "ingest-more") != ("", "", "")
    before, _, behind = report.between(PAGE.read_text(), "ingest")
    assert page.read_text() == f"{before}| new |{behind}"
    with pytest.raises(ValueError, match="no part"):
        report.between("# A page", "ingest")


def test_every_number_goes_into_the_json() -> None:
    [row] = good([Case("camscribe", 8, 45)])
    told = json.loads(json.dumps(row.as_json()))
    assert told["cpu_ms_per_camera_second"] == 10.0
    assert told["ages"] == [0.1, 0.2]
    assert pair_of([row]) is None
