"""What config.yaml says of files."""

import asyncio
from pathlib import Path

import pytest
from pydantic import ValidationError

from plugins.sources.file import FileConfig, FileSource
from tests.plugins.sources.file.files import (
    film,
)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("file:clip.mp4", "clip.mp4"),
        ("file:/srv/a b.jpg", "/srv/a b.jpg"),
        ("file:///srv/a%20b.jpg", "/srv/a%20b.jpg"),
        ("file:file:odd", "file:odd"),
    ],
)
def test_the_short_form_names_the_path_as_it_is(text, path):
    assert FileSource.from_short(text) == {"path": path}


def test_a_relative_path_counts_from_the_config_folder(tmp_path):
    config = FileConfig.model_validate({"path": "clip.mp4"}, context={"folder": tmp_path})
    assert config.path == tmp_path / "clip.mp4"
    assert FileConfig.model_validate({"path": "~/x.jpg"}).path == Path.home() / "x.jpg"


def test_an_unknown_pace_is_a_fault():
    with pytest.raises(ValidationError, match="'real' or 'step'"):
        FileConfig.model_validate({"path": "a", "pace": "fast"})


async def test_its_thread_ends_with_run(camera, tmp_path):
    source = camera(film(tmp_path / "clip.mp4", [1] * 5))
    await source.take(5)
    running = asyncio.create_task(source.run())
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    thread = source._thread._thread
    await asyncio.to_thread(thread.join, 5)
    assert not thread.is_alive()
    assert source._video._file is None
