"""``detail: high`` in the config: the engine is started for it at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugins.captioners.llama_server.gguf import CUTS
from tests.fakes.service import camscribe, write_config
from tests.fakes.tiny_model import STRICT_MMPROJ, STRICT_TEXT
from tiny_model.gguf_copy import copy_with


@pytest.mark.parametrize("detail", ["high", "medium"])
async def test_engine_is_started_once_for_what_cameras_want(tmp_path: Path, detail: str):
    mmproj = tmp_path / "mmproj-cutting.gguf"
    copy_with(STRICT_MMPROJ, mmproj, {CUTS: 4 * 96})
    camera = {"source": "demo", "every": "1s", "detail": detail}
    config = {
        "model": {"model": str(STRICT_TEXT), "mmproj": str(mmproj)},
        "cameras": {"doorstep": camera},
        "outputs": {"log": {"format": "json"}},
    }
    async with camscribe("run", "--config", str(write_config(tmp_path, config)), cwd=tmp_path) as service:
        await service.until(lambda: any('"caption":"' in line for line in service.out), 60)
        assert await service.stop() == 0
    [ready] = [line for line in service.err if "engine ready" in line]
    assert ("encoded once" in ready) is (detail == "medium")
