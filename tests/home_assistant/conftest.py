"""One broker and one Home Assistant for all tests of a module, for each version."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from xdist.scheduler import LoadScopeScheduling

from tests.fakes.broker import Broker, mosquitto
from tests.fakes.home_assistant import VERSIONS, HomeAssistant, Version


class ByModuleAndVersion(LoadScopeScheduling):
    """Which tests a worker takes at once: those that share one Home Assistant."""

    def _split_scope(self, nodeid: str) -> str:
        where, _, parameters = nodeid.partition("[")
        version = next((name for name in VERSIONS if parameters.startswith(name)), "neither")
        return f"{where.partition('::')[0]} {version}"


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling | None:
    return ByModuleAndVersion(config, log) if config.getoption("dist") == "loadscope" else None


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> Version:
    return request.param


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def broker(version: Version, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Broker]:
    if not mosquitto():
        pytest.fail("These tests need mosquitto, as Home Assistant's users have: apt-get install mosquitto")
    async with Broker.running(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ha(
    version: Version, broker: Broker, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[HomeAssistant]:
    async with HomeAssistant.running(tmp_path_factory.mktemp("home-assistant"), broker, version) as ha:
        yield ha
