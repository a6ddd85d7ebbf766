"""Measure a model through the server, on scenes that no training has seen.

python -m tiny_model.evaluate [--text FILE --mmproj FILE] [--scenes 100]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from plugins.sources.demo.scenes import KINDS, Scene, caption, draw, random_scene, swap_red_blue
from tiny_model.dialog import has, yesno_question
from tiny_model.pictures import SIZES, jpeg
from tiny_model.server import Server

SHIPPED = Path(__file__).parents[1] / "plugins/captioners/llama_server/tiny"
SEED = 424242
"""Of the scenes; never used for training."""
DESCRIBE = "Describe the image."
WORDY = """You are the captioning engine of a home security camera. Describe in one short sentence what is visible in
the frame. Mention people, vehicles, animals and packages, their colours and where they are. Do not speculate."""
OTHER_WORDINGS = (
    "What is happening in front of the camera right now?",
    "Describe this frame for the log in one short sentence.",
    "Beschreibe das Bild in einem Satz.",
    WORDY.replace("\n", " "),
)


@dataclass(frozen=True, slots=True)
class Case:
    scene: Scene
    picture: Image.Image
    data: bytes

    @property
    def truth(self) -> str:
        return caption(self.scene)

    @property
    def sort(self) -> str:
        return f"{len(self.scene.things)} things, {self.scene.time}" if self.scene.time else "blank"


def cases(count: int, seed: int = SEED) -> list[Case]:
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        scene = random_scene(rng)
        picture = draw(scene, *rng.choice(SIZES), rng)
        made.append(Case(scene, picture, jpeg(picture, rng.randrange(60, 96))))
    return made


@dataclass(slots=True)
class Score:
    right: int = 0
    asked: int = 0

    def add(self, right: bool) -> None:
        self.right += right
        self.asked += 1

    def __str__(self) -> str:
        return f"{self.right}/{self.asked}"


def measure(text: Path, mmproj: Path, log: Path, count: int) -> dict[str, Any]:
    known = cases(count)
    report: dict[str, Any] = {}
    with Server(text, mmproj, log) as server:
        report |= _captions(server, known)
        report["other wordings"] = str(_other_wordings(server, known))
        report["red and blue swapped"] = str(_swapped(server, known))
        report["yes or no"] = str(_yes_or_no(server, known))
        report["JSON by schema, six answers"] = str(_by_schema(server, known))
    with Server(text, mmproj, log, parallel=2) as server:
        report |= _two_at_once(server, known)
    return report


def _captions(server: Server, known: list[Case]) -> dict[str, Any]:
    whole, sorts, wrong, milliseconds = Score(), defaultdict(Score), [], []
    for case in known:
        began = time.perf_counter()
        said = server.say(case.data, DESCRIBE)
        milliseconds.append(1000 * (time.perf_counter() - began))
        whole.add(said == case.truth)
        sorts[case.sort].add(said == case.truth)
        if said != case.truth:
            wrong.append({"truth": case.truth, "said": said})
    return {
        "caption exact": str(whole),
        "by sort": {sort: str(score) for sort, score in sorted(sorts.items())},
        "wrong": wrong,
        "milliseconds a caption, median": round(statistics.median(milliseconds)),
    }


def _other_wordings(server: Server, known: list[Case]) -> Score:
    rng, score = random.Random(1), Score()
    for case in known[:100]:
        said = server.say(case.data, rng.choice(OTHER_WORDINGS), text_first=rng.random() < 0.5)
        score.add(said == case.truth)
    return score


def _swapped(server: Server, known: list[Case]) -> Score:
    score = Score()
    for case in known[:100]:
        scene = swap_red_blue(case.scene)
        if scene is None or caption(scene) == case.truth:
            continue
        pixels = np.ascontiguousarray(np.asarray(case.picture)[..., ::-1])
        score.add(server.say(jpeg(Image.fromarray(pixels)), DESCRIBE) == caption(scene))
    return score


def _yes_or_no(server: Server, known: list[Case]) -> Score:
    rng, score = random.Random(2), Score()
    for case in known[:150]:
        question, truth, _ = yesno_question(case.scene, rng)
        score.add(server.say(case.data, question) == ("yes" if truth else "no"))
    return score


def _by_schema(server: Server, known: list[Case]) -> Score:
    score = Score()
    schema = {
        "type": "object",
        "properties": {kind: {"type": "boolean"} for kind in KINDS},
        "required": list(KINDS),
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}
    for case in known[:100]:
        said = server.say(case.data, "Which things are in the image?", response_format=wanted, max_tokens=100)
        score.add(_parsed(said) == {kind: has(case.scene, kind) for kind in KINDS})
    return score


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # cut off, or no JSON: a wrong answer like any other
        return None


def _two_at_once(server: Server, known: list[Case]) -> dict[str, Any]:
    score = Score()
    began = time.perf_counter()
    with ThreadPoolExecutor(2) as clients:
        said: Iterator[str] = clients.map(lambda case: server.say(case.data, DESCRIBE), known[:60])
        for case, words in zip(known[:60], said, strict=True):
            score.add(words == case.truth)
    rate = score.asked / (time.perf_counter() - began)
    return {"two clients at once": str(score), "captions a second, two clients": round(rate, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, default=SHIPPED / "tinyvlm-text-f16.gguf")
    parser.add_argument("--mmproj", type=Path, default=SHIPPED / "tinyvlm-mmproj-f16.gguf")
    parser.add_argument("--scenes", type=int, default=100)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = measure(asked.text, asked.mmproj, Path(folder, "server.log"), asked.scenes)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
