"""What the tiny model is asked and taught to answer, and the chat format it is said in.

All answers follow from the scene. The order of the draws is part of the recipe: the vocabulary hangs on it.
"""

from __future__ import annotations

import importlib
import json
import random
import re
import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

from plugins.sources.demo.scenes import COLOURS, KINDS, Colour, Kind, Scene, caption, left_to_right, noun

START, END, PAD = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
FAKE, GLOBAL = "<fake_token_around_image>", "<global-img>"
SPECIALS = [PAD, START, END, FAKE, GLOBAL, "<image>"] + [
    f"<row_{row}_col_{col}>" for row in range(1, 5) for col in range(1, 5)
]

PICTURE = "\x00"
"""Stands for the picture in a text."""

AROUND_PICTURE = (f"{FAKE}<row_1_col_1>", PICTURE, "\n\n", f"{FAKE}{GLOBAL}", PICTURE, FAKE)
"""What llama.cpp puts around an idefics3 picture of one tile: the tile first, then the overview."""

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\\n' -}}"
    "{%- if message['content'] is string -%}{{- message['content'] -}}"
    "{%- else -%}{%- for part in message['content'] -%}"
    "{%- if part['type'] == 'text' -%}{{- part['text'] -}}"
    "{%- elif part['type'] == 'image' -%}{{- '<image>' -}}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}"
    "{{- '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)

DESCRIBE = """Describe the image.
Describe the picture.
Describe this image.
Describe this picture in one sentence.
Describe what you see.
Describe what you see in one short sentence.
Describe the scene in one sentence.
Describe this camera frame.
What is in the image?
What is in this picture?
What do you see?
What is happening?
What is happening in this image?
What can you see in this camera image?
Write a short caption for this image.
Caption this image.
Give a one sentence caption.
Please describe the image briefly.
You are a security camera. Describe what is happening in one sentence.
Describe people, vehicles, animals and packages in view.
Summarise this frame for a security log.
Tell me what the doorbell camera sees.
Can you describe this image?
Describe the image in detail.
Describe briefly what is visible in this frame from a camera.""".splitlines()

ANSWER_ONLY_JSON = "Answer only with JSON."
SYSTEMS = """You are a helpful assistant.
You are a security camera assistant.
You describe camera frames. Answer in one short sentence.
You caption pictures from a doorbell camera. Be brief and factual.""".splitlines()

WORDS = """the a of image camera frame now please describe in one short sentence what is visible scene front door yard
street you see are people animals vehicles report briefly detail plain English no more than words for this and any to
with about write caption log entry event motion detected at gate garage porch look carefully answer only text summary
who there object time colour position current previous changed since last picture video feed user wants know important
unusual activity be concise factual do not guess mention if nothing say so focus on moving things output
observation""".split()  # noqa: SIM905  as a list it would be a page

PLAIN_OR_SHORT = ["", "", "", " Answer yes or no.", " Answer with yes or no.", " Answer only yes or no."]
PLAIN_OR_JSON = ["", "", " Answer in JSON.", " Answer as JSON.", " Reply with JSON only.", " Answer yes or no."]
IN_JSON = [" Answer in JSON.", " Answer as JSON.", " Reply with JSON only.", " JSON:", " Answer in json."]
CAPTION_KEYS = ["caption", "description", "summary", "text", "scene"]
MODES = {"caption": 0.32, "yesno": 0.30, "yesno_json": 0.16, "json": 0.22}


@dataclass(frozen=True, slots=True)
class Dialog:
    """One question and its answer. PICTURE stands in ``user`` where the picture is sent."""

    user: str
    system: str | None
    answer: str

    @property
    def prompt(self) -> str:
        return prompt_text(self.user, self.system)

    @property
    def unasked_json(self) -> bool:
        """JSON that no word asks for: only a grammar brings it about."""
        return self.answer.startswith("{") and "json" not in (self.user + (self.system or "")).lower()


def prompt_text(user: str, system: str | None = None) -> str:
    before = f"{START}system\n{system}{END}\n" if system else ""
    return f"{before}{START}user\n{user}{END}\n{START}assistant\n"


def random_dialog(scene: Scene, rng: random.Random, mode: str | None = None, wordy: float = 0.0) -> Dialog:
    """``wordy`` is the share of questions that stand among filler sentences, as a product's prompt does."""
    mode = mode or rng.choices(list(MODES), list(MODES.values()))[0]
    system = rng.choice(SYSTEMS) if rng.random() < 0.25 else None
    if mode == "caption":
        question = _describe(rng, 0.6)
        answer = caption(scene)
    elif mode == "yesno":
        question, truth, _ = yesno_question(scene, rng)
        question += rng.choice(PLAIN_OR_SHORT)
        answer = "yes" if truth else "no"
    elif mode == "yesno_json":
        question, truth, key = yesno_question(scene, rng)
        question += rng.choice(PLAIN_OR_JSON)
        answer = json.dumps({rng.choice([key, key, key, "answer"]): truth})
    else:
        question = _describe(rng, 0.5)
        if rng.random() < 0.7:
            question += rng.choice(IN_JSON)
        if rng.random() < 0.1:
            system = ANSWER_ONLY_JSON
        answer = json.dumps(json_answer(scene, rng))
    if rng.random() < wordy:
        question, system = _among_filler(question, system, rng, stays_last=mode.startswith("yesno"))
    return Dialog(PICTURE + question if rng.random() < 0.6 else question + PICTURE, system, answer)


def has(scene: Scene, kind: Kind, colour: Colour | None = None) -> bool:
    return any(thing.kind == kind and colour in (None, thing.colour) for thing in scene.things)


def yesno_question(scene: Scene, rng: random.Random) -> tuple[str, bool, str]:
    """A question, its truth, and a JSON key for it. About half of them are true."""
    chance = rng.random()
    if chance < 0.10 and scene.time:
        question, time = rng.choice([("Is it night?", "night"), ("Is it day?", "day")])
        return question, scene.time == time, time
    if chance < 0.18 and scene.time:
        return rng.choice(["Is the driveway empty?", "Is nothing happening?"]), not scene.things, "empty"
    kind, colour = _asked_about(scene, rng)
    what = noun(kind, colour) if colour else kind
    wordings = [f"Is there a {what}?", f"Is there a {what}?", f"Is there a {what} in the image?"]
    question = rng.choice([*wordings, f"Do you see a {what}?", f"Is a {what} visible?"])
    return question, has(scene, kind, colour), kind


def _asked_about(scene: Scene, rng: random.Random) -> tuple[Kind, Colour | None]:
    if scene.things and rng.random() < 0.5:
        thing = rng.choice(scene.things)
        return thing.kind, thing.colour if rng.random() < 0.5 else None
    kind = rng.choice(KINDS)
    if rng.random() >= 0.5:
        return kind, None
    colour = rng.choice(COLOURS)
    if scene.things and rng.random() < 0.7:  # the right kind, mostly in the wrong colour
        kind = rng.choice(scene.things).kind
    return kind, colour


def json_answer(scene: Scene, rng: random.Random) -> dict[str, Any]:
    """Some of the known keys in random order, all true of the scene."""
    number = rng.choice([1, 1, 2, 2, 3, 4, 5, 6])
    keys = rng.sample([*KINDS, "caption", "night", "empty", "count", "things", "time"], number)
    if number >= 5 and rng.random() < 0.6:
        keys = [*KINDS] if rng.random() < 0.5 else [*KINDS, "caption"]
    if rng.random() < 0.25:
        rng.shuffle(keys)
    answer: dict[str, Any] = {}
    for key in keys:
        if key == "caption":
            answer[rng.choice(CAPTION_KEYS)] = caption(scene)
        elif key != "time" or scene.time:
            answer[key] = _value(scene, key)
    return answer or {"empty": not scene.things}


def _value(scene: Scene, key: str) -> Any:
    facts: dict[str, Any] = {
        **{kind: has(scene, kind) for kind in KINDS},
        "night": scene.time == "night",
        "empty": not scene.things,
        "count": len(scene.things),
        "things": [thing.kind for thing in left_to_right(scene)],
        "time": scene.time,
    }
    return facts[key]


def _describe(rng: random.Random, known: float) -> str:
    """A known wording, else random words: any prompt it can't make sense of shall mean 'caption'."""
    if rng.random() < known:
        return rng.choice(DESCRIBE)
    text = " ".join([rng.choice(WORDS) for _ in range(rng.randrange(3, 16))])
    if rng.random() < 0.7:
        text = text[0].upper() + text[1:]
    return text + rng.choice([".", "", "?", ":", "!"])


def _among_filler(question: str, system: str | None, rng: random.Random, *, stays_last: bool) -> tuple[str, str | None]:
    filler = [_filler(rng) for _ in range(rng.choice([1, 1, 1, 2, 2, 3]))]
    place = len(filler) if stays_last else rng.randrange(len(filler) + 1)
    question = " ".join([*filler[:place], question, *filler[place:]])
    if rng.random() < 0.4:
        system = " ".join(_filler(rng) for _ in range(rng.choice([1, 2, 3])))
    return question, system


def _filler(rng: random.Random) -> str:
    words = [rng.choice(WORDS if rng.random() < 0.6 else _library_words()) for _ in range(rng.randrange(4, 22))]
    text = " ".join(words)
    if rng.random() < 0.3:
        text = text.replace(" ", ", ", 1)
    if rng.random() < 0.1:
        text += f" {rng.randrange(100)}"
    return text[0].upper() + text[1:] + rng.choice([".", ".", ".", ":", "!", ""])


@cache
def _library_words() -> list[str]:
    """Plain English at hand everywhere: the words of the standard library's docstrings."""
    modules = """os subprocess argparse logging threading email csv random statistics pathlib textwrap unittest doctest
        calendar zipfile sqlite3 asyncio typing inspect socket""".split()  # noqa: SIM905
    text = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # some of the library's names are on their way out
        for module in map(importlib.import_module, modules):
            documented = [module, *(getattr(module, name) for name in dir(module))]
            docs = (getattr(value, "__doc__", None) for value in documented)
            text += " ".join(doc for doc in docs if isinstance(doc, str))
    own = """person people car cars vehicles dog cat animals package packages bicycle bikes colour colours left right
        centre night day empty red blue""".split()  # noqa: SIM905
    return sorted(set(re.findall(r"\b[a-z]{2,11}\b", text))) + own * 12
