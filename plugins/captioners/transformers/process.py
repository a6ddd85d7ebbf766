"""How the model's process is called: its command line, its environment, and the short tasks before it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from agent.plugin import Misconfigured

MAIN = Path(__file__).parent / "worker" / "__main__.py"
SILENCE = 120.0
"""Seconds without a word after which a short task counts as hanging."""
GRACE = 2.0
LONGEST_LINE = 1 << 20
FEW_CORES = 4
_PASSED = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR"}
_PASSED |= {"LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "REQUESTS_CA_BUNDLE"}
_PASSED |= {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"}
_PASSED_GROUPS = ("LC_", "XDG_", "HF_", "CUDA_", "NVIDIA_", "TORCH", "PYTORCH_", "OMP_", "MKL_", "KMP_", "SSL_CERT_")
_TOKEN = "HF_TOKEN"  # noqa: S105  the variable's name


def python(config_python: Path | None) -> str:
    return str(config_python or sys.executable)


def command(program: str, task: str, settings: Mapping[str, Any]) -> list[str]:
    """Isolated (-I): nothing that lies in this folder or in the user's packages gets in. Heard at once (-u)."""
    return [program, "-I", "-u", str(MAIN), task, json.dumps(settings)]


def environment(data_dir: Path, *, offline: bool, token: bool = False) -> dict[str, str]:
    """What Python and PyTorch may need of ours. The house's passwords are not theirs, least of all a model's code's."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if (name in _PASSED or name.startswith(_PASSED_GROUPS)) and (token or not name.startswith(_TOKEN))
    }
    kept |= {"HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}
    kept.setdefault("HF_MODULES_CACHE", str(data_dir / "transformers-code"))
    # Threads that wait for each other must not spin: other work shares the processor with them.
    kept.setdefault("OMP_WAIT_POLICY", "passive")
    if offline:
        kept["HF_HUB_OFFLINE"] = "1"
    return kept


def threads(wanted: int | None) -> int:
    """All of a few cores; of many, half: on most machines the other half are hyperthreads or slow cores."""
    if wanted:
        return wanted
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if cores <= FEW_CORES else max(FEW_CORES, cores // 2)


async def ask(
    words: list[str], env: Mapping[str, str], log: logging.Logger, heard: Callable[[dict[str, Any]], None]
) -> None:
    """Runs a short task; ``heard`` gets each line of JSON it prints. Raises Misconfigured where there is none."""
    async with _running(words, env) as process:
        assert process.stdout
        assert process.stderr
        complaining = asyncio.create_task(_log(process.stderr, log))
        try:
            async with asyncio.timeout(SILENCE) as patience:
                any_line = False
                while line := await process.stdout.readline():
                    said = _told(line)
                    if said is None:
                        log.debug("%s: %s", words[0], line.decode("utf-8", "replace").rstrip()[:300])
                        continue
                    patience.reschedule(asyncio.get_running_loop().time() + SILENCE)
                    any_line = True
                    heard(said)
                last = await complaining
        except TimeoutError:
            raise Misconfigured(f"{words[0]} has said nothing for {SILENCE:g} s. Is it a Python that works?") from None
        except ValueError:  # a line without an end
            raise Misconfigured(f"{words[0]} talks nonsense. Is it a Python that works?") from None
        finally:
            complaining.cancel()
            with suppress(asyncio.CancelledError):
                await complaining
    if not any_line:
        raise Misconfigured(f"{words[0]} can't run camscribe's worker: {last or 'it said nothing'}")


def _told(line: bytes) -> dict[str, Any] | None:
    """What the worker tells; None where it was somebody else who spoke."""
    try:
        said = json.loads(line)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


@asynccontextmanager
async def _running(words: list[str], env: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """It ends with this block; the end of its standard input, which only we hold, is its sign where we are killed."""
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=pipe, stdout=pipe, stderr=pipe, env=dict(env), start_new_session=True, limit=LONGEST_LINE
        )
    except OSError as error:
        raise Misconfigured(f"{words[0]} can't be started: {error.strerror}.") from error
    try:
        yield process
    finally:
        assert process.stdin
        process.stdin.close()
        try:
            async with asyncio.timeout(GRACE):
                await process.wait()
        except TimeoutError:
            process.kill()
            assert process.stdout
            await process.stdout.read()  # whatever it said beyond measure would hold up its end
            await process.wait()


async def _log(stream: asyncio.StreamReader, log: logging.Logger) -> str:
    """All it says; gives the last line."""
    last, rest = "", b""
    while chunk := await stream.read(65536):
        *lines, rest = (rest + chunk).split(b"\n")
        rest = rest[-2000:]
        for line in lines:
            last = line[:2000].decode("utf-8", "replace").strip() or last
            log.debug("worker: %s", last)
    return rest.decode("utf-8", "replace").strip() or last
