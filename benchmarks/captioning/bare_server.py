"""The plan's own command line: a llama-server that nobody looks after, asked over TCP with the picture as it is."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import socket
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from agent.bench.wire import BareClient, Reply
from agent.plugin import Wire

START_WITHIN = 300.0
GRACE = 10.0


class BareServer:
    """A llama-server's process and its API."""

    def __init__(self, port: int, pid: int, timeout: float) -> None:
        self.pid = pid
        self._url = f"http://127.0.0.1:{port}"
        self._client = BareClient(timeout)

    async def caption(self, jpeg: bytes, prompt: str) -> Reply:
        """As the plan has it: picture and text, and nothing else said."""
        address = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
        content = [{"type": "image_url", "image_url": {"url": address}}, {"type": "text", "text": prompt}]
        body = json.dumps({"messages": [{"role": "user", "content": content}]}).encode()
        headers = {"Content-Type": "application/json"}
        reply = await asyncio.to_thread(self._client.post, Wire(f"{self._url}/v1/chat/completions", body, headers))
        if reply.status != http.client.OK:
            raise RuntimeError(f"the plan's llama-server answered with HTTP {reply.status}: {reply.body[:300]!r}")
        return reply

    async def healthy(self) -> bool:
        try:
            reply = await asyncio.to_thread(self._client.get, Wire(self._url, b"", {}), "/health")
        except OSError:
            return False
        return reply.status == http.client.OK

    async def build(self) -> str:
        reply = await asyncio.to_thread(self._client.get, Wire(self._url, b"", {}), "/props")
        told = str(reply.at("build_info"))
        return "" if "unknown" in told else told


@asynccontextmanager
async def bare_server(
    command: Sequence[str], environment: Mapping[str, str], timeout: float
) -> AsyncIterator[BareServer]:
    """``command`` with ``--port`` last. Loaded when it is handed over, gone afterwards."""
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            server = BareServer(int(command[-1]), process.pid, timeout)
            async with asyncio.timeout(START_WITHIN):
                while not await server.healthy():
                    if process.returncode is not None:
                        log.seek(0)
                        words = log.read()[-2000:].decode(errors="replace")
                        raise RuntimeError(f"{command[0]} ended with status {process.returncode}: {words}")
                    await asyncio.sleep(0.2)
            yield server
        finally:
            if process.returncode is None:
                await _end(process)


async def _end(process: Any) -> None:
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), GRACE)
    except TimeoutError:
        process.kill()
        await process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
