"""What the log says of a config that is another now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.config import Config, parse
from agent.config.changes import changes, need_restart
from tests.agent.config.household import discover

DOG = {"type": "boolean", "ask": "Is there a dog?"}
LANE = {"source": "demo", "questions": {"dog": DOG}}
OLD: dict[str, Any] = {
    "captioners": {"spare": {}},
    "cameras": {"door": {"source": "demo", "every": "30s"}, "yard": {"source": "demo"}, "lane": LANE},
    "outputs": {"log": {}},
    "data_dir": "/somewhere",
}


def made(**changed: Any) -> Config:
    return parse({**OLD, **changed}, folder=Path("/"), discover=discover)


def test_alike_is_alike():
    assert changes(made(), made()) == []
    assert need_restart(made(), made()) == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"cameras": {"door": {"source": "demo", "every": "30s"}, "lane": LANE}}, ["camera yard removed"]),
        ({"cameras": {**OLD["cameras"], "path": {"source": "demo"}}}, ["camera path added"]),
        ({"cameras": {**OLD["cameras"], "yard": {"source": "demo", "prompt": "Who?"}}}, ["camera yard (prompt)"]),
        (
            {"cameras": {**OLD["cameras"], "yard": {"source": "demo", "questions": {"who": "Who?"}, "detail": "low"}}},
            ["camera yard (detail, questions)"],
        ),
        (
            {"cameras": {**OLD["cameras"], "lane": LANE | {"questions": {"dog": DOG | {"on_at": 0.9}}}}},
            ["camera lane (questions)"],
        ),
        ({"captioners": {}}, ["captioner spare removed"]),
        ({"model": {"preset": "tiny"}, "captioners": {"spare": {"preset": "smolvlm-500m"}}}, ["model (preset)"]),
        ({"captioners": {"other": {}}}, ["captioner spare removed", "captioner other added"]),
        ({"outputs": {"log": {"expire": "1h"}}}, ["output log (expire)"]),
        ({"keep": {"days": 3}}, ["keep"]),
        ({"reload": "manual"}, ["reload"]),
    ],
)
def test_each_difference_is_named(changed: dict[str, Any], told: list[str]):
    assert changes(made(), made(**changed)) == told


@pytest.mark.parametrize(("key", "value"), [("data_dir", "/elsewhere"), ("web", {"port": 1})])
def test_what_only_a_new_process_can_take_over_is_named_apart(key: str, value: Any):
    assert need_restart(made(), made(**{key: value})) == [key]
    assert changes(made(), made(**{key: value})) == []
