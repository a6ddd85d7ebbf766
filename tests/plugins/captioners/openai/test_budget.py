from __future__ import annotations

import pytest

from plugins.captioners.openai.budget import Budget


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_no_more_calls_in_any_minute_than_allowed() -> None:
    clock = Clock()
    budget = Budget(3, clock)
    made = []
    for _ in range(1000):
        if budget.spend():
            made.append(clock.now)
        clock.now += 0.7
    for first in made:
        assert sum(first <= at < first + 60 for at in made) <= 3
    assert len(made) == pytest.approx(3 * 700 / 60, abs=2)


async def test_waiting_is_for_the_oldest_call_to_be_a_minute_old() -> None:
    clock = Clock()
    budget = Budget(1, clock)
    assert await budget.free(0)
    assert budget.spend()
    clock.now += 45
    assert budget.wait() == 15
    assert not await budget.free(0.01)
    clock.now += 15
    assert await budget.free(0)


def test_without_a_limit_there_is_none() -> None:
    budget = Budget(None)
    assert all(budget.spend() for _ in range(1000))
