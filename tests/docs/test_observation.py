"""docs/observation.md tells the truth about the record."""

import json
import re
from typing import get_args

import pytest
from pydantic import BaseModel

from agent.errors import Failure
from agent.values import Observation, Reason
from tests.fakes.service import ROOT

DOCUMENT = (ROOT / "docs" / "observation.md").read_text()
EXAMPLES = re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)


def section(title):
    return DOCUMENT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def first_cells(title):
    """The names in a section's table."""
    return re.findall(r"^\| `([^`]+)` \|", section(title), re.MULTILINE)


def paths(model, prefix=""):
    """Every field of the record with its dotted path; a mapping's keys are ``*``."""
    for name, field in model.model_fields.items():
        yield prefix + name
        for part in nested(field.annotation):
            inner = f"{prefix}{name}." if issubclass(part, BaseModel) and name != "answers" else f"{prefix}{name}.*."
            yield from paths(part, inner)


def nested(annotation):
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [part for argument in get_args(annotation) for part in nested(argument)]


def test_every_field_is_documented_in_its_order_and_no_other():
    assert first_cells("Field by field") == list(paths(Observation))


def test_every_reason_is_documented():
    assert first_cells("Reasons") == list(get_args(Reason))


def test_every_kind_of_error_is_documented():
    assert first_cells("Kinds of error") == [kind.value for kind in Failure]


@pytest.mark.parametrize("example", EXAMPLES, ids=["good", "failed"])
def test_the_examples_are_observations_to_the_letter(example):
    observation = Observation.model_validate_json(example)
    assert json.loads(observation.model_dump_json()) == json.loads(example)
    assert list(json.loads(example)) == list(Observation.model_fields)
    assert (observation.caption is None) != (observation.error is None)
    parts = observation.latency_ms.model_dump()
    total = parts.pop("total")
    assert sum(parts.values()) == total
    assert round((observation.finished_at - observation.taken_at).total_seconds() * 1000) == total
