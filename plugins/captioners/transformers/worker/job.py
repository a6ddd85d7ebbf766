"""One question about one picture, on its way from the server's thread to the model's and back."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


class Cancelled(Exception):
    """Nobody waits for the answer any more."""


class Refused(Exception):
    """The picture or the prompt is not one the model can take."""


@dataclass
class Token:
    """A piece of an answer, and the likeliest in its place, each with its log-probability."""

    text: str
    logprob: float
    likely: list[tuple[str, float]]


@dataclass
class Answer:
    text: str
    cut: bool
    """It hit ``max_tokens``."""
    tokens: int
    prompt_tokens: int
    reused: int
    """Of the prompt's tokens: known from the question before."""
    prompt_ms: float
    generate_ms: float
    said: list[Token] | None = None
    """The tokens one by one, the last of which may be the end; None where the model's code does not tell."""


@dataclass
class Job:
    picture: bytes
    text: str
    max_tokens: int
    temperature: float
    tops: int = 0
    """So many of the likeliest tokens in each place are wanted; 0: not even the one that was said."""
    cancelled: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)
    answer: Answer | None = None
    fault: tuple[int, str] | None = None
    """The HTTP status, and what to say."""

    def check(self) -> None:
        if self.cancelled.is_set():
            raise Cancelled
