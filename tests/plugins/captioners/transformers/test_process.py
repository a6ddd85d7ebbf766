"""What needs no PyTorch: how its absence is told, the download, and what the process gets to know."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from agent.plugin import CaptionUnavailable, Misconfigured
from plugins.captioners.transformers import Transformers, process
from tests.fakes.engine.waiting import gone, until
from tests.fakes.tiny_checkpoint import moondream_like
from tests.plugins.captioners.transformers.conftest import Running

LOG = logging.getLogger("camscribe.test")


def program(folder: Path, *lines: str) -> Path:
    path = folder / "python"
    path.write_text("\n".join([f"#!{sys.executable} -I", "import json, os, sys, time", *lines]))
    path.chmod(0o755)
    return path


def has_all(folder: Path, then: str) -> Path:
    """A Python that claims to have everything, and does ``then`` where it is asked to fetch or to serve."""
    names = ["torch", "transformers", "huggingface_hub", "pillow", "numpy"]
    versions = json.dumps({"versions": dict.fromkeys(names, "1.0")})
    return program(folder, "if 'about' in sys.argv:", f"    print({versions!r})", "    sys.exit()", then)


async def test_missing_packages_are_named_with_what_to_install(captioner: Callable[..., Transformers], tiny: Path):
    ours = await asyncio.to_thread(captioner, model=tiny, python=None)
    with pytest.raises(Misconfigured, match=r"needs torch, transformers, .*pip install 'camscribe\[transformers\]'"):
        await ours.check()
    with pytest.raises(Misconfigured, match="needs torch"):
        await ours.run()
    with pytest.raises(CaptionUnavailable, match="pip install"):
        await ours.ready(10)


async def test_other_python_without_torch_is_told_its_own_pip(
    captioner: Callable[..., Transformers], tiny: Path, short: Path
):
    lacks = program(short, 'print(json.dumps({"versions": {"torch": None, "numpy": "2"}}))')
    other = await asyncio.to_thread(captioner, model=tiny, python=lacks)
    with pytest.raises(Misconfigured, match=f"{lacks} -m pip install torch transformers huggingface_hub pillow$"):
        await other.check()


async def test_program_that_is_no_python_is_told_with_its_words(
    captioner: Callable[..., Transformers], tiny: Path, short: Path
):
    cat = program(short, "sys.exit('cat: invalid option')")
    no_python = await asyncio.to_thread(captioner, model=tiny, python=cat)
    with pytest.raises(Misconfigured, match=r"can't run camscribe's worker: cat: invalid option"):
        await no_python.check()


@pytest.mark.parametrize(
    ("does", "words"),
    [
        ("while True: print('y', flush=True)", "has said nothing for"),
        ("while True: print('y' * 4000, end='')", "talks nonsense"),
        ("print('[1, 2]')", "can't run camscribe's worker"),
    ],
)
async def test_program_that_talks_on_and_on_is_given_up(
    captioner: Callable[..., Transformers],
    tiny: Path,
    short: Path,
    monkeypatch: pytest.MonkeyPatch,
    does: str,
    words: str,
):
    monkeypatch.setattr(process, "SILENCE", 2.0)
    monkeypatch.setattr(process, "GRACE", 0.1)
    talkative = await asyncio.to_thread(captioner, model=tiny, python=program(short, does))
    with pytest.raises(Misconfigured, match=words):
        await talkative.check()


async def test_silent_task_is_given_up_and_nothing_of_it_stays(
    short: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(process, "SILENCE", 0.5)
    monkeypatch.setattr(process, "GRACE", 0.1)
    note = short / "pid"
    mute = program(short, f"open({str(note)!r}, 'w').write(str(os.getpid()))", "time.sleep(600)")
    env = process.environment(tmp_path, offline=True)
    with pytest.raises(Misconfigured, match="has said nothing for"):
        await process.ask([str(mute)], env, LOG, lambda _: None)
    pid = await asyncio.to_thread(note.read_text)
    assert not psutil.pid_exists(int(pid))


async def test_progress_of_a_download_is_the_state_and_faults_are_told(
    captioner: Callable[..., Transformers], running: Running, short: Path
):
    told = short / "told"
    then = "\n".join(
        [
            "print(json.dumps({'progress': 'downloading, 40 % of 1000 MB'}), flush=True)",
            f"while not os.path.exists({str(told)!r}): time.sleep(0.02)",
            "print(json.dumps({'fault': 'There is no room on the disk for it.', 'lasting': False}))",
        ]
    )
    python = await asyncio.to_thread(has_all, short, then)
    async with running(preset="smolvlm-500m", python=python) as ours:
        await until(lambda: ours.state == "starting: downloading, 40 % of 1000 MB")
        told.touch()
        with pytest.raises(CaptionUnavailable, match="no room on the disk"):
            await ours.ready(20)


async def test_download_ends_with_the_captioner(running: Running, short: Path):
    note = short / "pid"
    then = f"open({str(note)!r}, 'w').write(str(os.getpid()))\n"
    then += "print(json.dumps({'progress': 'x'}), flush=True)\nsys.stdin.read()"
    python = await asyncio.to_thread(has_all, short, then)
    async with running(preset="smolvlm-500m", python=python) as ours:
        await until(lambda: ours.state == "starting: x")
        downloading = psutil.Process(int(await asyncio.to_thread(note.read_text)))
    await until(lambda: gone(downloading), within=5)


async def test_files_on_disk_need_no_network(captioner: Callable[..., Transformers], tmp_path: Path):
    """Asked with huggingface_hub, which camscribe has itself."""
    ours = await asyncio.to_thread(captioner, preset="moondream2")
    assert await ours._folder(look_only=True) is None
    hub = tmp_path / "data/transformers"
    folder = await asyncio.to_thread(moondream_like, hub, "vikhyatk/moondream2", "2025-06-21")
    assert await ours._folder(look_only=True) == str(folder)
    assert await ours._folder(look_only=False) == str(folder)
    (folder / "model.safetensors").unlink()
    assert await ours._folder(look_only=True) is None, "a download that was broken off"


async def test_no_network_is_told_with_what_to_do(
    captioner: Callable[..., Transformers], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    ours = await asyncio.to_thread(captioner, preset="smolvlm-256m")
    with pytest.raises(Exception, match=r"SmolVLM-256M-Instruct is not on this machine yet .* name a folder of your"):
        await ours._folder(look_only=False)


def test_process_gets_no_passwords(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for name in ("FRONT_DOOR_PASSWORD", "CAMSCRIBE_WEB__TOKEN", "PYTHONPATH", "HF_TOKEN"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    serving = process.environment(tmp_path, offline=True)
    assert "secret" not in serving.values()
    assert (serving["CUDA_VISIBLE_DEVICES"], serving["HF_HUB_OFFLINE"]) == ("1", "1")
    fetching = process.environment(tmp_path, offline=False, token=True)
    assert [name for name, value in fetching.items() if value == "secret"] == ["HF_TOKEN"]
    assert "HF_HUB_OFFLINE" not in fetching
