"""The captioning benchmark: its promises and its report on a recorded short run, its model files, and its parts."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader

from benchmarks.captioning import measure, plan, random_weights, report
from benchmarks.captioning.__main__ import arguments, nearly
from benchmarks.captioning.promises import remarks, verdicts
from benchmarks.captioning.random_weights import Dice, Shape, Vocabulary
from benchmarks.captioning.results import BIG, TINY, Results
from benchmarks.ingest.__main__ import status
from benchmarks.ingest.promises import Verdict
from benchmarks.ingest.report import between, write
from benchmarks.ingest.server import ROOT
from plugins.captioners.llama_server.config import LlamaServerConfig
from plugins.captioners.transformers.config import TransformersConfig

RECORDED = Path(__file__).with_name("captioning.json")
PAGE = ROOT / "docs" / "performance.md"
SMALL = Shape(
    width=64, layers=1, heads=2, kv_heads=1, inner=96, eyes_width=64, eyes_layers=1, eyes_heads=2, eyes_inner=96,
    tile=64, patch=16, shuffle=2, longest_edge=256,
)  # fmt: skip


@pytest.fixture
def results() -> Results:
    """Two frames through everything, on a machine that was busy."""
    return Results.from_json(json.loads(RECORDED.read_text()))


@pytest.fixture
def words(tmp_path) -> Vocabulary:
    """A vocabulary that needs no download."""
    letters = [chr(number) for number in range(33, 33 + 88)]
    (tmp_path / "words.json").write_text(
        json.dumps({"tokens": ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *letters],
                    "kinds": [3, 3, 3, *[1] * len(letters)], "merges": []})
    )  # fmt: skip
    return random_weights.vocabulary(tmp_path)


def kept(results: Results, what: str) -> bool | None:
    [found] = [one for one in verdicts(results) if what in one.what]
    return found.kept


def quiet(results: Results) -> Results:
    return replace(results, others_cores={})


def test_recorded_run_is_read_whole(results):
    told, again = json.loads(RECORDED.read_text()), json.loads(json.dumps(results.as_json()))
    assert again.keys() <= told.keys()
    assert Results.from_json(again) == results
    assert again["rivals"]["same"].keys() == told["rivals"]["same"].keys()


@pytest.mark.parametrize(("name", "what"), [("same", "same files"), ("fast", "fast at")])
def test_times_as_fast_as_the_plan_are_judged_frame_by_frame(results, name, what):
    assert kept(results, what) is None  # the machine was busy, perhaps while it was the plan's turn
    assert kept(quiet(results), what) is True
    assert results.faster(name) > 6
    slow = {number: ms / 2 for number, ms in results.rivals["plan"].ms.items()}
    results.rivals["plan"].ms = {**slow, 7: 9e9}  # a frame that the other never had is no pair
    results.rivals[name].ms = {number: ms / 5 for number, ms in slow.items()}
    assert kept(results, what) is None
    assert kept(quiet(results), what) is False


def test_overhead_is_judged_on_both_models(results):
    times = results.rivals["fast"]
    times.ms = dict.fromkeys(range(6), 2000.0)
    times.bare_ms = {number: ms / 1.04 for number, ms in times.ms.items()}
    assert kept(quiet(results), "share over the bare engine") is False
    times.bare_ms = {number: ms / 1.02 for number, ms in times.ms.items()}
    assert kept(quiet(results), "share over the bare engine") is True
    assert kept(results, "of the tiny model") is None
    assert kept(quiet(replace(results, tiny_overhead_ms=15.1)), "of the tiny model") is False
    assert kept(replace(results, tiny_overhead_ms=14.9), "of the tiny model") is True


@pytest.mark.parametrize(
    ("shares", "verdict"),
    [
        ([0.04] * 10 + [-0.07, 0.01], False),
        ([0.09] * 9 + [-0.07, 0.01, 0.02], None),
        ([0.12, 0.11, 0.13], None),
        ([0.02, -0.07, 0.10], True),
    ],
)
def test_an_overhead_that_frames_do_not_agree_about_is_not_judged(results, shares, verdict):
    times = results.rivals["fast"]
    times.ms = {number: 2000 * (1 + share) for number, share in enumerate(shares)}
    times.bare_ms = dict.fromkeys(times.ms, 2000.0)
    assert kept(quiet(results), "own share") is verdict


def test_questions_and_eyes_are_judged(results):
    cheap = replace(results, questions={BIG: results.questions[TINY]})
    assert kept(cheap, "five questions over one, SmolVLM") is True
    dear = replace(results, questions=results.long_questions)
    assert kept(dear, "five questions over one, SmolVLM") is False
    assert kept(results, "scenes, llama-server") is True
    blind = replace(results, accuracy=[replace(one, fast=one.slow - 2.5) for one in results.accuracy])
    assert [one.kept for one in verdicts(blind) if "scenes" in one.what] == [False, False]


def test_transformers_ahead_is_said_with_by_how_much(results):
    [told] = [line for line in remarks(results) if "is ahead" in line]
    assert "Transformers in its best setting is ahead: it takes 0.69x the time" in told
    assert "1.46x as fast" in told
    torch = results.rivals["transformers"]
    torch.ms = {number: ms * 3 for number, ms in torch.ms.items()}
    assert any("is not ahead" in line for line in remarks(results))
    del results.rivals["transformers"]
    assert not any("Transformers" in line for line in remarks(results))


def test_status_says_kept_broken_or_not_judged(results):
    assert status(verdicts(results)) == 3
    assert status(verdicts(quiet(results))) == 1
    assert status(verdicts(quiet(replace(results, tiny_overhead_ms=9.0)))) == 0


def test_long_answers_are_told_and_break_nothing(results):
    """Those recorded cost 1.5 times as much."""
    [told] = [line for line in remarks(results) if "answers of 20 tokens, SmolVLM" in line]
    assert told.endswith("1.54x (nothing is promised of these)")
    assert any("tokens, the tiny model" in line for line in remarks(results))
    assert not any("SmolVLM-500M's size" in one.what for one in verdicts(results) if "questions" in one.what)
    assert "| SmolVLM-500M's size, answers of 20 tokens |" in report.markdown(results, "", "", "")


async def test_questions_are_asked_with_as_many_tokens_as_said(monkeypatch):
    asked = []

    async def ask(_made, pixels, questions):
        asked.append((pixels, len(questions), {one.max_tokens for one in questions.values()}))
        return float(len(questions))

    monkeypatch.setattr(measure, "_asked", ask)
    results, heard = Results(), []
    await measure.big_questions(None, iter(range(8)), results, heard.append, 2)
    assert [told[1] for told in asked] == [1, 5, 5, 1] * 2
    assert [told[2] for told in asked] == [{plan.ANSWER_TOKENS}] * 4 + [{plan.LONG_ANSWER_TOKENS}] * 4
    assert [told[0] for told in asked] == [*range(8)]
    assert len(heard) == 8
    assert results.questions[BIG].ratio == results.long_questions[BIG].ratio == 5


@pytest.mark.parametrize(("frames", "times"), [(2, 12), (3, 12), (20, 20)])
async def test_with_and_without_camscribe_come_in_turns_and_no_engine_sees_a_frame_twice_in_a_row(
    monkeypatch, frames, times
):
    asked = []

    async def ask(way, rival, number, pixels):
        asked.append((rival.name, way, number, pixels))

    monkeypatch.setattr(measure.Race, "_look", lambda _race, *told: ask("with", *told))
    monkeypatch.setattr(measure.Race, "_bare", lambda _race, *told: ask("without", *told))
    rivals, ticks = plan.rivals(Path("weights"), Path("llama-server"), None), []
    await measure.Race(rivals, Results(), ticks.append).run([*range(frames)])
    both = [(way, number, pixels) for name, way, number, pixels in asked if name == "fast"]
    assert [number for _way, number, _pixels in both] == [number for number in range(times) for _ in range(2)]
    assert [way for way, *_ in both[:6]] == ["with", "without", "without", "with", "with", "without"]
    assert all(one[2] != next_one[2] for one, next_one in pairwise(both))
    assert [number for name, _way, number, _pixels in asked if name == "plan"] == [*range(frames)]
    assert len(ticks) == measure.steps(frames, rivals, 0) - len(rivals) - 6 * measure.rounds(frames) - 1


def test_report_has_every_row_and_says_what_disturbed_it(results):
    text = report.markdown(results, "a machine", "make bench-full", "2026-11-22")
    for times in results.rivals.values():
        assert f"| {times.title} |" in text
    assert "rivals: something else on the machine used 0.6 cores meanwhile" in text
    assert "random weights" in text
    assert "`make bench-full`" in text
    assert [table.row_count for table in report.on_terminal(results)] == [len(results.rivals), 2]


def test_page_is_written_between_its_marks_only(results, tmp_path):
    page = tmp_path / "performance.md"
    page.write_text(PAGE.read_text())
    write(page, {report.PART: "| new |"}, report.TARGET)
    before, _, behind = between(PAGE.read_text(), report.PART, report.TARGET)
    assert page.read_text() == f"{before}| new |{behind}"


def test_weights_have_the_real_models_size():
    """The text model's Q8_0 file on Hugging Face has 437 MB, the projector's 109 MB."""
    shape = Shape()
    vocabulary = Vocabulary(["x"] * 49280, [], frozenset())

    class Counting(Dice):
        """The sizes without the numbers."""

        def matrix(self, gguf, hf, *shape):
            return random_weights.Tensor(gguf, hf, shape, np.zeros((0,), np.uint8))

        plain = ones = matrix

    def bytes_of(tensors):
        return sum(np.prod(one.shape) * (34 / 32 if len(one.shape) == 2 else 4) for one in tensors)

    class Output(Counting):
        def matrix(self, gguf, hf, *shape):
            tensor = super().matrix(gguf, hf, *shape)
            return replace(tensor, values=np.zeros((1, 0), np.uint8))

    assert bytes_of(random_weights.text_tensors(shape, vocabulary, Output())) == pytest.approx(435e6, rel=0.01)
    assert bytes_of(random_weights.eyes_tensors(shape, Counting())) == pytest.approx(107e6, rel=0.03)
    assert shape.tokens == 64


def test_both_forms_hold_the_same_weights_and_no_caption_can_end(words, tmp_path):
    folder = tmp_path / "model"
    random_weights.make(folder, ("q8_0", "bf16"), SMALL)
    read = GGUFReader(random_weights.text_file(folder))
    tensors = {one.name: one for one in read.tensors}
    output = tensors["output.weight"]
    assert output.tensor_type is GGMLQuantizationType.Q8_0
    rows = random_weights.dequantize(output.data, output.tensor_type)
    assert np.flatnonzero(~rows.any(axis=1)).tolist() == sorted(words.special)
    text = random_weights.transformers_folder(folder) / "model.safetensors"
    stored = safetensors(text)
    assert stored["lm_head.weight"].shape == rows.shape
    np.testing.assert_allclose(stored["lm_head.weight"], rows, rtol=0.01)
    fast = {one.name: one for one in GGUFReader(random_weights.mmproj_file(folder, "bf16")).tensors}
    assert fast["v.blk.0.attn_q.weight"].tensor_type is GGMLQuantizationType.BF16
    first = random_weights.text_file(folder).stat().st_mtime_ns
    random_weights.make(folder, ("q8_0", "bf16"), SMALL)
    assert random_weights.text_file(folder).stat().st_mtime_ns == first


def safetensors(path: Path) -> dict[str, np.ndarray]:
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    found = {}
    for name, told in header.items():
        if name != "__metadata__":
            begin, end = (8 + size + offset for offset in told["data_offsets"])
            upper = np.frombuffer(data[begin:end], "<u2").astype(np.uint32) << 16
            found[name] = upper.view(np.float32).reshape(told["shape"])
    return found


def test_every_rivals_options_are_ones_that_a_config_may_have(words, tmp_path):
    folder = tmp_path / "model"
    random_weights.make(folder, ("q8_0",), SMALL)
    for rival in plan.rivals(folder, Path("/bin/true"), Path("/bin/true")):
        options = {key: value for key, value in rival.options.items() if key != "use" and value is not None}
        kind = TransformersConfig if rival.name == "transformers" else LlamaServerConfig
        if options:
            kind.model_validate(options)
    real = plan.command(Path("llama-server"), [Path("m"), Path("p")], 8080)
    assert real == [
        "llama-server",
        "-m",
        "m",
        "--mmproj",
        "p",
        "--ctx-size",
        "2048",
        "--n-predict",
        "20",
        "--port",
        "8080",
    ]


async def test_fast_path_sees_as_well_as_the_slow_one(monkeypatch):
    """On the engine in the wheel, with some of the benchmark's scenes."""
    monkeypatch.setattr(plan, "SCENES", 12)
    results = Results()
    await measure.accuracy(None, results, lambda _what: None)
    [seen] = results.accuracy
    assert seen.scenes == 12
    assert seen.slow >= 90
    assert seen.fast >= 90


def test_wrong_use_says_what_is_missing(tmp_path, capsys):
    for words, said in (
        (["--pairs", "1"], "at least two pairs"),
        (["--llama-server", str(tmp_path / "x"), "--no-transformers"], "make llama-server"),
        (["--llama-server", __file__, "--torch", str(tmp_path / "python")], "--no-transformers"),
    ):
        with pytest.raises(SystemExit) as ended:
            arguments(words)
        assert ended.value.code == 2
        assert said in capsys.readouterr().err


def test_slack_is_for_what_is_missed_by_little():
    near = Verdict("times as fast", 7.1, 8, "x", at_least=True)
    assert nearly(near, 20)
    assert not nearly(near, 10)
    assert not nearly(replace(near, value=8.1), 20)  # kept: nothing to be forgiven
    assert not nearly(Verdict("share", 4, 3, " %"), 20)
