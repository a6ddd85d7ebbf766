"""Passwords, tokens and the pages of a real service: what the commands do, and that it is noticed within seconds."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import subprocess
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.fakes.service import Service, camscribe, command, write_config

PASSWORD = "four words are enough"
QUIET = {"model": {"preset": "tiny"}, "cameras": {"door": {"source": "demo", "enabled": False}}, "outputs": {}}


def config(folder: Path, **web: Any) -> Path:
    return write_config(folder, {**QUIET, "web": {"port": 0, **web}})


def web(config: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command("web", *arguments), "--config", str(config)],
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def set_password(config: Path, password: str = PASSWORD, user: str = "admin") -> None:
    done = web(config, "password", "--user", user, given=f"{password}\n")
    assert (done.returncode, done.stderr) == (0, "")


def test_at_a_terminal_it_is_asked_for_twice_and_not_shown(tmp_path: Path) -> None:
    file = config(tmp_path)
    told, status = typed([*command("web", "password"), "--config", str(file)], [PASSWORD, "something else"])
    assert status == 2
    assert "New password of admin: " in told
    assert "Once more: " in told
    assert "The two are different: nothing was changed." in told
    assert PASSWORD not in told
    assert not (tmp_path / "data" / "web.json").exists()


def typed(arguments: list[str], lines: list[str]) -> tuple[str, int]:
    """What a program shows at a terminal of its own, where these lines are typed, one at a question."""
    ours, its = pty.openpty()

    def take_it() -> None:
        os.setsid()
        fcntl.ioctl(its, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(arguments, stdin=its, stdout=its, stderr=its, preexec_fn=take_it)  # noqa: PLW1509
    os.close(its)
    shown = ""
    try:
        for line in lines:
            while not shown.rstrip(" ").endswith(":"):
                shown += os.read(ours, 1000).decode()
            os.write(ours, f"{line}\n".encode())
            shown += "\n"
        while chunk := os.read(ours, 1000):
            shown += chunk.decode()
    except OSError:  # Linux's end of a terminal
        pass
    finally:
        os.close(ours)
    return shown, process.wait(30)


# -------------------------------------------------------------------------------------------------------- the service


async def url_of(service: Service) -> str:
    """Through loopback; a service that is there for others tells their address of it."""

    def said() -> str | None:
        found = re.search(r"The web pages: (https?)://[^:]+(:\d+)", "\n".join(service.err))
        return f"{found[1]}://127.0.0.1{found[2]}" if found else None

    return str(await service.until(said))


async def until(condition: Callable[[], Any], within: float = 15.0) -> None:
    """The service looks at the file every two seconds."""
    give_up = time.monotonic() + within
    while not await condition():
        assert time.monotonic() < give_up
        await asyncio.sleep(0.1)


async def test_a_running_service_takes_each_change_over_and_no_page_is_open_after_that(tmp_path: Path) -> None:
    file = await asyncio.to_thread(config, tmp_path)
    async with camscribe("run", "--config", str(file)) as service:
        url = await url_of(service)
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            assert (await client.get("/api/v1/home")).status_code == 200, "on this machine alone nobody is asked"
            assert (await client.get("/api/v1/home", headers={"Host": "evil.example"})).status_code == 421

            await asyncio.to_thread(set_password, file)

            async def shut() -> bool:
                return (await client.get("/api/v1/home")).status_code == 401

            await until(shut)
            for path in ("/", "/live", "/timeline", "/performance", "/metrics", "/openapi.json", "/api/v1/stream"):
                assert (await client.get(path)).status_code == 401, path
            assert (await client.get("/healthz")).status_code == 200
            assert (await client.get("/readyz")).status_code in (200, 503)
            assert "<form" in (await client.get("/login", headers={"Accept": "text/html"})).text

            entered = await client.post("/login", data={"user": "admin", "password": PASSWORD})
            assert entered.status_code == 303
            assert (await client.get("/api/v1/home")).status_code == 200
            assert (await client.get("/")).status_code == 200
            crossed = await client.patch(
                "/api/v1/home", json={"paused": True}, headers={"Origin": "https://evil.example"}
            )
            assert crossed.status_code == 403

            token = (await asyncio.to_thread(web, file, "token", "add", "grafana")).stdout.strip()
            bearer = {"Authorization": f"Bearer {token}"}

            async def known() -> bool:
                return (await client.get("/metrics", headers=bearer)).status_code == 200

            await until(known)
            await asyncio.to_thread(set_password, file, "another one of four words")
            await until(shut)
            assert (await client.get("/metrics", headers=bearer)).status_code == 200
        assert await service.stop() == 0
        said = "\n".join(service.err)
        assert PASSWORD not in said
        assert token not in said


async def test_what_others_could_reach_is_not_served_without_a_password(tmp_path: Path) -> None:
    file = await asyncio.to_thread(config, tmp_path, host="0.0.0.0")
    async with camscribe("run", "--config", str(file)) as service:
        assert await asyncio.wait_for(service.process.wait(), 60) == 2
    assert any("camscribe web password" in line for line in service.err)
    await asyncio.to_thread(set_password, file)
    async with camscribe("run", "--config", str(file)) as service:
        url = await url_of(service)
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            assert (await client.get("/api/v1/home")).status_code == 401
            assert (await client.get("/healthz")).status_code == 200
        assert await service.stop() == 0


async def test_a_certificate_that_cant_be_used_is_told_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("not a key")
    file = config(tmp_path, certificate="nowhere.pem", key="key.pem")
    for arguments in (["check"], ["run"]):
        async with camscribe(*arguments, "--config", str(file)) as service:
            assert await asyncio.wait_for(service.process.wait(), 30) == 2
            await service.until(lambda service=service: "can't be used (No such file or directory)" in service.err[-1])
            assert "Traceback" not in "\n".join(service.err)
