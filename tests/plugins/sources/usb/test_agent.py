"""A USB camera in the service: OpenCV stays out of the agent, and no process outlives it."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from tests.fakes.service import Service, camscribe, lives, write_config
from tests.fakes.v4l2.camera import FakeCamera, Tree
from tests.fakes.waiting import eventually


def _config(folder: Path, source: str) -> Path:
    cameras = {"desk": {"source": source, "every": "1s"}}
    return write_config(
        folder, {"model": {"preset": "tiny"}, "cameras": cameras, "outputs": {"log": {"format": "json"}}}
    )


def _camera_process(service: Service) -> psutil.Process:
    (found,) = (child for child in service.children() if "plugins.sources.usb.child" in child.cmdline())
    return found


def _loaded(process: psutil.Process) -> str:
    return Path(f"/proc/{process.pid}/maps").read_text()


@pytest.mark.slow
async def test_opencv_stays_out_of_the_agent_and_kill_9_leaves_no_process(tree: Tree):
    camera = FakeCamera(tree.plug(0))
    config = _config(tree.root, f"usb:{camera.path}")
    async with camscribe("run", "--config", str(config)) as service:
        await service.until(lambda: [o for o in service.observations if o["caption"]], 60)
        child = _camera_process(service)
        assert "/cv2/" in _loaded(child)
        assert "/cv2/" not in _loaded(psutil.Process(service.process.pid))
        assert "/av/" not in _loaded(child)
        assert "pydantic" not in _loaded(child)
        service.kill()
        await eventually(lambda: not lives(child), 5)


@pytest.mark.slow
async def test_sigterm_takes_a_camera_that_hangs_along(tree: Tree):
    camera = FakeCamera(tree.plug(0))
    config = _config(tree.root, f"usb:{camera.path}")
    async with camscribe("run", "--config", str(config)) as service:
        await service.until(lambda: [o for o in service.observations if o["caption"]], 60)
        child = _camera_process(service)
        child.suspend()
        assert await service.stop() == 0
        assert not lives(child)
    assert "Traceback" not in "\n".join(service.err)


@pytest.mark.slow
async def test_kill_9_of_the_agent_while_the_driver_hangs_leaves_no_process(tree: Tree):
    camera = FakeCamera(tree.plug(0))
    camera.stalled = True
    async with camscribe("run", "--config", str(_config(tree.root, f"usb:{camera.path}"))) as service:
        child = await service.until(lambda: _starting(service, camera), 60)
        service.kill()
        await eventually(lambda: not lives(child), 5)


def _starting(service: Service, camera: FakeCamera) -> psutil.Process | None:
    """The camera's process, waiting for a picture that does not come."""
    if not camera.counter("streams"):
        return None
    return next((c for c in service.children() if "plugins.sources.usb.child" in " ".join(c.cmdline())), None)
