"""What may be asked about a camera's picture besides its caption, and what each answer may be.

The one declaration for config.yaml (``questions:``), for the captioners that ask, and for the outputs that tell.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

MOST_OPTIONS = 20
NO_OPTION = ("None", "unknown", "unavailable")
"""Home Assistant's words for no answer."""
LONGEST_OPTION = 60
DeviceClass = Literal[
    "battery",
    "carbon_monoxide",
    "cold",
    "connectivity",
    "door",
    "garage_door",
    "gas",
    "heat",
    "light",
    "lock",
    "moisture",
    "motion",
    "moving",
    "occupancy",
    "opening",
    "plug",
    "power",
    "presence",
    "problem",
    "running",
    "safety",
    "smoke",
    "sound",
    "tamper",
    "vibration",
    "window",
]
"""Home Assistant's, of binary sensors: they pick the icon and the words for on and off."""
Fraction = Annotated[float, Field(ge=0, le=1)]


def _one_line(option: str) -> str:
    words = " ".join(option.split())
    if not words:
        raise ValueError("the option is empty")
    return words


Option = Annotated[str, Field(max_length=LONGEST_OPTION), AfterValidator(_one_line)]


class _Question(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    ask: str = Field(min_length=1, max_length=1000)
    """The question, as the model is asked it."""
    name: str | None = Field(default=None, min_length=1, max_length=100)
    """What people read. Left out: the question's key, with spaces."""

    @field_validator("ask")
    @classmethod
    def _says_something(cls, ask: str) -> str:
        if not ask.strip():
            raise ValueError("the question is empty")
        return ask


class BooleanQuestion(_Question):
    """Yes or no. A light that hangs on the answer follows what is steady: see ``on_at``, ``off_at``, ``looks``."""

    type: Literal["boolean"]
    """``boolean``: yes or no."""
    device_class: DeviceClass | None = None
    """Home Assistant's kind of binary sensor, such as ``motion`` or ``door``: its icon and its words for on and off."""
    on_at: Fraction = 0.7
    """So likely must yes be before the answer turns on."""
    off_at: Fraction = 0.3
    """Yes must be no likelier than this before it turns off. Between the two it stays as it was."""
    looks: int = Field(default=1, ge=1, le=10)
    """So many looks in a row must say so before it turns on or off."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.off_at > self.on_at:
            raise ValueError(f"off_at ({self.off_at:g}) must not be more than on_at ({self.on_at:g})")
        return self


class NumberQuestion(_Question):
    """A number, such as how many there are."""

    type: Literal["number"]
    """``number``: between ``min`` and ``max``."""
    min: float = Field(default=0, ge=-1e9, le=1e9)
    """The smallest it may be."""
    max: float = Field(default=1000, ge=-1e9, le=1e9)
    """The largest it may be."""
    decimals: int = Field(default=0, ge=0, le=6)
    """Digits after the point; 0 for whole numbers."""
    unit: str | None = Field(default=None, min_length=1, max_length=30)
    """What is counted or measured, as people read it: ``cars``, ``°C``, ``%``."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min >= self.max:
            raise ValueError(f"min ({self.min:g}) must be less than max ({self.max:g})")
        return self


class ChoiceQuestion(_Question):
    """One of some options."""

    type: Literal["choice"]
    """``choice``: one of ``options``."""
    options: tuple[Option, ...] = Field(min_length=2, max_length=MOST_OPTIONS)
    """What the answer may be, as the model is told it and people read it."""

    @field_validator("options")
    @classmethod
    def _different(cls, options: tuple[str, ...]) -> tuple[str, ...]:
        alike = [option.casefold() for option in options]
        if twice := next((option for option in options if alike.count(option.casefold()) > 1), None):
            raise ValueError(f"'{twice}' is there twice: the options must differ in more than spaces and capitals")
        if nothing := next((option for option in options if option in NO_OPTION), None):
            raise ValueError(f"'{nothing}' is what Home Assistant calls no answer: find another word for that option")
        return options


class TextQuestion(_Question):
    """A few words. What a plain text in ``questions:`` stands for."""

    # In a file the mapping must say its type, as each of them must.
    model_config = ConfigDict(json_schema_extra={"required": ["type", "ask"]})

    type: Literal["text"] = "text"
    """``text``: a few words."""
    max_tokens: int = Field(default=20, ge=1, le=500)
    """How long the answer may get; a token is about three quarters of a word."""


Question = BooleanQuestion | NumberQuestion | ChoiceQuestion | TextQuestion
