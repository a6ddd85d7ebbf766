"""Videos from the disk as a camera."""

import os
import time
from fractions import Fraction

import numpy as np
import pytest

from tests.plugins.sources.file.files import film, level, refusal


async def test_step_hands_out_each_frame_of_a_video_and_begins_again(camera, tmp_path):
    path = film(tmp_path / "clip.mp4", [20, 60, 100, 140])
    source = camera(path, pace="step")
    frames = [await source.take(5) for _ in range(6)]
    assert [level(frame) for frame in frames] == pytest.approx([20, 60, 100, 140, 20, 60], abs=4)
    assert [frame.how for frame in frames[:2]] == ["clip.mp4 at 0.0 s", "clip.mp4 at 0.1 s"]


async def test_a_video_plays_on_as_time_passes_and_over_again(camera, tmp_path, monkeypatch):
    path = film(tmp_path / "clip.mp4", range(0, 250, 10))  # 25 frames, 2.5 s
    source = camera(path)
    assert level(await source.take(5)) <= 10
    began = source._video._began
    seen = {}
    for seconds in (0.55, 1.21, 2.45, 2.65, 0.05, 252.95):
        monkeypatch.setattr(source._video, "_began", time.monotonic() - seconds)
        seen[seconds] = level(await source.take(5))
    assert began > 0
    expected = {0.55: 50, 1.21: 120, 2.45: 240, 2.65: 10, 0.05: 0, 252.95: 40}
    for seconds, value in expected.items():
        assert abs(seen[seconds] - value) <= 14, (seconds, seen)  # a frame more where the machine was slow


@pytest.mark.parametrize("name", ["clip.mkv", "clip.mov", "clip.avi", "clip.ts", "line\nbreak %03d.mp4", "-i.mp4"])
async def test_containers_and_odd_names(camera, tmp_path, name):
    source = camera(film(tmp_path / name, [70] * 12))
    assert level(await source.take(5)) == pytest.approx(70, abs=4)


async def test_pixels_that_are_not_square_are_made_so(camera, tmp_path):
    path = film(tmp_path / "anamorphic.mp4", [50] * 5, size=(96, 80), aspect=Fraction(4, 3))
    assert (await camera(path, pace="step").take(5)).pixels.shape == (80, 128, 3)


async def test_a_large_video_is_made_smaller(camera, tmp_path):
    path = film(tmp_path / "hd.mp4", [50] * 3, size=(1280, 720))
    assert (await camera(path, pace="step", long_edge=640).take(5)).pixels.shape == (360, 640, 3)


@pytest.mark.parametrize(("rotation", "corner"), [(90, (-1, 0)), (180, (-1, -1)), (270, (0, -1))])
async def test_a_video_is_turned_as_its_display_matrix_says(camera, tmp_path, rotation, corner):
    path = film(tmp_path / "phone.mp4", [20] * 5, rotation=rotation)
    pixels = (await camera(path, pace="step").take(5)).pixels
    assert pixels.shape == ((64, 48, 3) if rotation % 180 else (48, 64, 3))
    bright = np.argwhere(pixels.mean(axis=2) > 128).mean(axis=0) / pixels.shape[:2] > 0.5
    assert tuple(bright) == tuple(edge == -1 for edge in corner)


async def test_a_replaced_video_is_seen(camera, tmp_path):
    source = camera(film(tmp_path / "clip.mp4", [30] * 8), pace="step")
    assert level(await source.take(5)) == pytest.approx(30, abs=4)
    film(tmp_path / "next.mp4", [200] * 8).replace(tmp_path / "clip.mp4")
    assert level(await source.take(5)) == pytest.approx(200, abs=4)


async def test_a_truncated_video_plays_as_far_as_it_goes(camera, tmp_path):
    path = film(tmp_path / "clip.ts", range(0, 250, 5))
    os.truncate(path, path.stat().st_size // 2)
    source = camera(path, pace="step")
    assert level(await source.take(5)) <= 10


async def test_a_video_that_does_not_say_its_length_asks_for_step(camera, tmp_path):
    path = film(tmp_path / "raw.h264", [40, 80, 120], format="h264")
    assert "pace: step" in str(await refusal(camera(path)))
    source = camera(path, pace="step")
    assert [level(await source.take(5)) for _ in range(4)] == pytest.approx([40, 80, 120, 40], abs=4)
