"""What camscribe promises about captioning, and whether the numbers keep it."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from statistics import median

from benchmarks.captioning.results import BIG, Results
from benchmarks.ingest.promises import Verdict

SAME_FILES = 6.0
"""Times as fast as the plan's command line."""
FAST_TYPE = 8.0
OVERHEAD_PERCENT = 3.0
"""Of the bare engine's time, on a model of SmolVLM-500M's size."""
CHANCE = 0.025
"""Overheads are noise on a machine that others use: a promise is broken where this is too small to explain it."""
TINY_OVERHEAD_MS = 15.0
QUESTIONS = 1.3
"""Times one question, for five."""
POINTS = 2.0
"""Fewer exact captions in a hundred."""


def verdicts(results: Results) -> list[Verdict]:
    told = []
    why = results.disturbed("rivals")
    for name, limit in (("same", SAME_FILES), ("fast", FAST_TYPE)):
        ratio = results.faster(name)
        if ratio is not None:
            what = f"times as fast as the plan's command line, {_files(name)}"
            told.append(Verdict(what, ratio, limit, "x", at_least=True, disturbed=why))
    overheads = [100 * share for rival in results.rivals.values() for share in rival.overheads]
    if overheads:
        what = "camscribe's own share over the bare engine, SmolVLM-500M's size"
        unsure = why or _too_few(overheads, OVERHEAD_PERCENT)
        told.append(Verdict(what, median(overheads), OVERHEAD_PERCENT, " %", disturbed=unsure))
    if results.tiny_overhead_ms is not None:
        what = (
            f"camscribe's own time over the bare engine, the same {results.tiny_looks} requests of the tiny model, p50"
        )
        disturbed = results.disturbed("tiny")
        told.append(Verdict(what, results.tiny_overhead_ms, TINY_OVERHEAD_MS, " ms", disturbed=disturbed))
    if BIG in results.questions:
        ratio, disturbed = results.questions[BIG].ratio, results.disturbed(f"questions {BIG}")
        told.append(Verdict(f"five questions over one, {BIG}", ratio, QUESTIONS, "x", disturbed=disturbed))
    told += [
        Verdict(f"points lost by the fast path of {one.scenes} scenes, {one.engine}", one.slow - one.fast, POINTS, "")
        for one in results.accuracy
    ]
    return told


def _too_few(overheads: Sequence[float], limit: float) -> str | None:
    """Chance alone would put as many beyond the limit, were the true median just within it (a sign test)."""
    beyond = sum(share > limit for share in overheads)
    chance = sum(comb(len(overheads), count) for count in range(beyond, len(overheads) + 1)) / 2 ** len(overheads)
    return f"{beyond} of {len(overheads)} looks are beyond it, which may be chance" if chance > CHANCE else None


def remarks(results: Results) -> list[str]:
    """What is said and not promised."""
    told = []
    for name in ("untouched", "wheel_same", "wheel_fast"):
        ratio = results.faster(name)
        if ratio is not None:
            told.append(f"{results.rivals[name].title}: {ratio:.1f}x as fast as the plan's command line")
    others = [*results.long_questions.items(), *((name, one) for name, one in results.questions.items() if name != BIG)]
    for name, questions in others:
        told.append(
            f"five questions over one with answers of {questions.tokens} tokens, {name}: {questions.ratio:.2f}x "
            "(nothing is promised of these)"
        )
    torch, fast = results.rivals.get("transformers"), results.rivals.get("fast")
    if torch is not None and fast is not None:
        told.append(_against_transformers(median(fast.against(torch))))
    return told


def _against_transformers(ratio: float) -> str:
    """``ratio``: Transformers' time over ours."""
    if ratio >= 1:
        return f"Transformers in its best setting is not ahead: it takes {ratio:.2f}x the time of llama-server"
    return (
        f"Transformers in its best setting is ahead: it takes {ratio:.2f}x the time of llama-server's fast mmproj, so "
        f"it is {1 / ratio:.2f}x as fast"
    )


def _files(name: str) -> str:
    return "same files" if name == "same" else "mmproj in the type this processor is fast at"
