"""What the log says of a config that is another now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.config import Config, parse
from agent.config.changes import changes, need_restart
from tests.agent.config.household import discover

OLD: dict[str, Any] = {
    "captioners": {"spare": {}},
    "cameras": {"door": {"source": "demo", "every": "30s"}, "yard": {"source": "demo"}},
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
        ({"cameras": {"door": {"source": "demo", "every": "30s"}}}, ["camera yard removed"]),
        ({"cameras": {**OLD["cameras"], "lane": {"source": "demo"}}}, ["camera lane added"]),
        ({"cameras": {**OLD["cameras"], "yard": {"source": "demo", "prompt": "Who?"}}}, ["camera yard (prompt)"]),
        (
            {"cameras": {**OLD["cameras"], "yard": {"source": "demo", "questions": {"who": "Who?"}, "detail": "low"}}},
            ["camera yard (detail, questions)"],
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
