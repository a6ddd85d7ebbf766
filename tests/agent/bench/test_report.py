"""The figures and how they are shown: on a recorded run of the tiny model, and on what is made of it."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from agent.bench import command, figures, page, terminal
from agent.bench.compare import compared
from agent.bench.results import Look, Row, Run, p50, p95, read
from agent.config import parse
from agent.errors import Misconfigured

RECORDED = Path(__file__).with_name("recorded.json")
HOSTILE = "</td><script>alert(1)</script>\"'>&<img src=x onerror=alert(2)> [bold red]red[/]"


@pytest.fixture
def run() -> Run:
    return read(RECORDED)


def changed(run: Run, **row: object) -> Run:
    """With something else about its one captioner."""
    return run.model_copy(update={"captioners": (run.captioners[0].model_copy(update=row),)})


def slower(run: Run, times: float) -> Run:
    looks = run.captioners[0].looks
    return changed(run, looks=tuple(look.model_copy(update={"ms": look.ms * times}) for look in looks))


def on_terminal(run: Run) -> str:
    out = io.StringIO()
    terminal.show(run, Console(file=out, width=120, force_terminal=False))
    return out.getvalue()


def compare_on_terminal(a: Run, b: Run) -> str:
    out = io.StringIO()
    terminal.compare(compared(a, b), Console(file=out, width=120, force_terminal=False))
    return out.getvalue()


def row_of(pairs: list[tuple[float, float]]) -> Row:
    looks = [Look(number=number, way="agent", ms=ours, caption="A cat.") for number, (ours, _) in enumerate(pairs)]
    looks += [Look(number=number, way="bare", ms=bare, caption="A cat.") for number, (_, bare) in enumerate(pairs)]
    return Row.model_validate(
        {"name": "x", "plugin": "p", "model": "m", "engine": {"about": "an engine"}, "looks": looks}
    )


def test_overhead_is_the_median_over_the_same_pictures():
    row = row_of([(110, 100), (530, 500), (60, 40)])
    assert row.overhead_ms == 20
    assert row.overhead == pytest.approx(0.1)
    assert (p50(row.agent), p50(row.bare)) == (110, 100)
    alone = row.model_copy(update={"looks": tuple(row.agent)})
    assert alone.overhead_ms is None
    assert "no bare engine" in figures.overhead(alone)


def test_a_failed_look_is_counted_and_in_no_time():
    row = row_of([(110, 100), (530, 500), (60, 40)])
    failed = [look.model_copy(update={"failure": "timeout", "ms": 9e9, "caption": None}) for look in row.looks[:2]]
    row = row.model_copy(update={"looks": (*failed, *row.looks[2:])})
    assert row.failures == {"timeout": 2}
    assert p50(row.agent) == 60
    assert row.overhead_ms == 20


@pytest.mark.parametrize(("times", "wanted"), [([5], 5), ([1, 2], 1.95), ([*range(101)], 95), ([], None)])
def test_95_of_100_looks_took_no_longer(times, wanted):
    assert p95([Look(number=0, way="agent", ms=ms) for ms in times]) == (wanted and pytest.approx(wanted))


def test_the_json_says_all_that_the_file_can_be_read_from(run, tmp_path):
    again = tmp_path / "again.json"
    again.write_text(run.as_json())
    assert read(again) == run
    assert read(again).as_json() == run.as_json()
    assert json.loads(run.as_json()).keys() == json.loads(RECORDED.read_text()).keys()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema_version": 2}', '{"schema_version": 1, "tool": "make bench-full"}']
)
def test_what_is_no_report_is_told_in_a_sentence(text, tmp_path):
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(Misconfigured, match=r"x\.json is no report of camscribe bench"):
        read(file)


def test_terminal_shows_every_figure(run):
    text = on_terminal(run)
    for label, value in figures.lines(run.captioners[0]):
        assert label.strip() in text
        assert value in text
    assert str(run.machine) in text.replace("\n", "")


def test_page_escapes_what_models_engines_and_people_say(run):
    looks = [look.model_copy(update={"caption": HOSTILE}) for look in run.captioners[0].looks]
    hostile = changed(run, looks=tuple(looks), name=HOSTILE, model=HOSTILE, problem=None)
    hostile = hostile.model_copy(update={"prompt": HOSTILE, "command": HOSTILE, "pictures": HOSTILE})
    for made in (hostile, changed(hostile, problem=HOSTILE)):
        text = page.html(made)
        assert "<script" not in text
        assert "<img" not in text
        assert "&lt;script&gt;" in text


def test_terminal_takes_no_markup_and_no_escapes_from_a_model(run):
    looks = [look.model_copy(update={"caption": HOSTILE + "\x1b[2J"}) for look in run.captioners[0].looks]
    text = on_terminal(changed(run, looks=tuple(looks)))
    assert "[bold red]red[/]" in text.replace("\n", "")
    assert "\x1b" not in text


def test_terminal_takes_no_escapes_from_a_report_that_somebody_else_wrote(run):
    """Neither where it is shown nor where two are compared."""
    machine = run.machine.model_copy(update={"processor": "\x1b[2J"})
    hostile = changed(run, name="\x1b]0;x\x07").model_copy(update={"machine": machine})
    assert "\x1b" not in compare_on_terminal(hostile, hostile) + on_terminal(hostile)


async def test_bar_shows_a_captioners_state_as_it_is(monkeypatch, capsys):
    """Its words may be an engine's, a path in brackets among them."""

    async def measured(_config, name, _pictures, _row, _asked, tick):
        tick("default: failed: no [/srv/model] \x1b[2J", 0)
        return row_of([(1.0, 1.0)])

    monkeypatch.setattr(command, "measure", measured)
    settings = await asyncio.to_thread(parse, {"model": {"preset": "tiny"}, "cameras": {"a": {"source": "demo"}}})
    run = await command._run(settings, ["default"], "demo", 2, command.Asked())
    assert [row.name for row in run.captioners] == ["x"]
    assert "\x1b[2J" not in capsys.readouterr().err


def test_page_is_one_file_for_light_and_dark(run):
    text = page.html(run)
    assert len(text) < 150_000
    assert "prefers-color-scheme: dark" in text
    assert "http" not in text.replace('http-equiv="Content', "")
    assert text.count("<svg") == 2


def test_page_of_many_looks_stays_small(run):
    row = run.captioners[0]
    many = [look.model_copy(update={"number": number}) for number in range(1000) for look in row.looks[:2]]
    rows = tuple(row.model_copy(update={"name": f"c{number}", "looks": tuple(many)}) for number in range(4))
    assert len(page.html(run.model_copy(update={"captioners": rows}))) < 150_000


def test_random_weights_are_said_everywhere(run):
    random = changed(run, model="smolvlm-500m-random-weights-Q8_0")
    assert "random weights" in on_terminal(random)
    assert "random weights" in page.html(random)
    assert json.loads(random.as_json())["random_weights"] is True
    assert "random weights" not in on_terminal(run) + page.html(run)
    assert json.loads(run.as_json())["random_weights"] is False


def test_a_captioner_that_was_not_measured_says_why(run):
    gone = changed(run, problem="The engine is not ready.", looks=(), memory=None)
    assert "default was not measured: The engine is not ready." in on_terminal(gone)
    assert "Not measured: The engine is not ready." in page.html(gone)


def test_comparison_says_which_is_faster_and_by_how_much(run):
    told = compare_on_terminal(slower(run, 2), run)
    assert "B is 2.00x as fast." in told
    assert "0.50x" in told
    assert "B is faster" in told
    assert "A is 2.00x as fast." in compare_on_terminal(run, slower(run, 2))
    assert "Equally fast" in compare_on_terminal(run, slower(run, 1.01))
    assert "Not alike" not in told


def test_comparison_says_what_is_not_alike(run):
    other = changed(run, model="smolvlm-256m").model_copy(
        update={"machine": run.machine.model_copy(update={"processor": "M4", "commit": "abc"}), "count": 7}
    )
    told = compare_on_terminal(run, other)
    for difference in ("the machine: ", "M4", "looks: 6 and 7", "the model of default: tiny and smolvlm-256m", "abc"):
        assert difference in told
    second = run.captioners[0].model_copy(update={"name": "second"})
    both = run.model_copy(update={"captioners": (*run.captioners, second)})
    assert "only B has the captioner second" in compare_on_terminal(run, both)


def test_single_captioners_are_held_side_by_side_whatever_their_names(run):
    told = compared(run, changed(run, name="other"))
    assert [pair.name for pair in told.pairs] == ["default and other"]


def test_comparison_with_a_run_that_failed(run):
    told = compare_on_terminal(run, changed(run, looks=()))
    assert "B has no caption to compare." in told
