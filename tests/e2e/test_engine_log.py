"""What an engine that fails said last reaches whoever asks doctor, without the secrets in it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.service import camscribe, command, write_config

SECRET = "kept-to-ourselves-27"
ENGINE = f"""#!/bin/sh
case "$1" in
  --version) echo "version: 11434 (abc)"; exit 0 ;;
  --help) echo "--model --mmproj --host --port --ctx-size --parallel --threads --api-key-file"; exit 0 ;;
esac
for line in $(seq 1 30); do echo "the engine's line $line" >&2; done
echo "the key is {SECRET}" >&2
exit 1
"""


async def doctor(path: Path, *arguments: str) -> tuple[int | None, list[dict[str, Any]], str]:
    asking = await asyncio.create_subprocess_exec(
        *command("doctor", "--json", "--config", str(path), *arguments), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await asyncio.wait_for(asking.communicate(), 60)
    return asking.returncode, json.loads(said), said.decode()


@pytest.mark.slow
async def test_doctor_shows_the_last_words_of_a_failed_engine_and_all_of_them_when_asked(tmp_path: Path):
    engine = tmp_path / "llama-server"
    engine.write_text(ENGINE)
    engine.chmod(0o755)
    broken = {"preset": "tiny", "binary": str(engine), "host": "127.0.0.1", "port": 28765, "api_key": SECRET}
    config = write_config(
        tmp_path,
        {
            "model": {"preset": "tiny"},
            "captioners": {"broken": broken},
            "cameras": {
                "good": {"source": "demo", "every": "1s"},
                "poor": {"source": "demo", "captioner": ["broken", "default"]},
            },
            "outputs": {"log": {"format": "json"}},
        },
    )
    async with camscribe("run", "--config", str(config)) as service:
        await service.until(lambda: any("the key is" in line for line in service.err) and service.observations, 60)
        async with asyncio.timeout(60):
            while True:  # it is tried again and again, and while it starts nothing is wrong
                status, findings, text = await doctor(config)
                by_part = {finding["part"]: finding for finding in findings}
                if not by_part["captioner broken"]["good"]:
                    break
        assert (status, by_part["captioner broken"]["good"], by_part["captioner default"]["good"]) == (1, False, True)
        assert len(by_part["captioner broken"]["said"]) == 10
        assert by_part["captioner broken"]["said"][-1] == "the key is ***"
        assert by_part["captioner default"]["said"] == []
        _, findings, more = await doctor(config, "--engine-log")
        by_part = {finding["part"]: finding for finding in findings}
        assert len(by_part["captioner broken"]["said"]) > 30
        assert by_part["captioner default"]["said"], "a good one's too"
        assert await service.stop() == 0
    assert SECRET not in text + more + "".join(service.err)
