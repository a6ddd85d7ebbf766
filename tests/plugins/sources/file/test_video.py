"""Videos from the disk as a camera."""

import os
import time
from fractions import Fraction

import av
import numpy as np
import pytest

from agent.plugin import Failure
from plugins.sources.file.video import _Playing
from tests.plugins.sources.file.files import film, level, paint, refusal


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


async def test_h265_with_sound_beside_it(camera, tmp_path):
    with av.open(str(tmp_path / "phone.mp4"), "w") as container:
        video = container.add_stream("libx265", rate=10, options={"x265-params": "log-level=none"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("aac", rate=8000, layout="mono")
        for number in range(10):
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            silence.rate, silence.pts = 8000, number * 1024
            container.mux(audio.encode(silence))
            pixels = np.full((48, 64, 3), 60 + number * 10, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    source = camera(tmp_path / "phone.mp4", pace="step")
    assert [level(await source.take(5)) for _ in range(3)] == pytest.approx([60, 70, 80], abs=6)
    assert level(await camera(tmp_path / "phone.mp4").take(5)) < 80


async def test_frames_that_last_differently_long_are_on_as_long_as_they_say(camera, tmp_path, monkeypatch):
    with av.open(str(tmp_path / "vfr.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=1000, options={"crf": "10", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for at, shade in ((0, 20), (3000, 80), (3040, 140), (9000, 200), (9100, 250)):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), shade, np.uint8), format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    source = camera(tmp_path / "vfr.mkv")
    await source.take(5)
    for seconds, shade in ((1.0, 20), (2.5, 20), (4.0, 140), (8.0, 140)):
        monkeypatch.setattr(source._video, "_began", time.monotonic() - seconds)
        assert level(await source.take(5)) == pytest.approx(shade, abs=4)


@pytest.mark.parametrize("size", [(66, 50), (62, 46), (1366, 768), (48, 2000)])
async def test_sizes_that_divide_by_nothing(camera, tmp_path, size):
    frame = await camera(film(tmp_path / "odd.mp4", [70] * 3, size=size), pace="step").take(5)
    assert frame.pixels.shape[1] / frame.pixels.shape[0] == pytest.approx(size[0] / size[1], rel=0.03)
    assert level(frame) == pytest.approx(70, abs=4)


async def test_a_long_video_is_sought_in_not_decoded_through(camera, tmp_path, monkeypatch):
    source = camera(film(tmp_path / "day.mkv", [n % 200 for n in range(3000)], fps=1))
    await source.take(5)
    decoded = []
    position = _Playing.position
    monkeypatch.setattr(_Playing, "position", lambda self, frame: decoded.append(frame.pts) or position(self, frame))
    monkeypatch.setattr(source._video, "_began", time.monotonic() - 2503)
    assert abs(level(await source.take(5)) - 2503 % 200) <= 6
    assert len(decoded) < 20


async def test_a_recording_that_grows_plays_on(camera, tmp_path, monkeypatch):
    whole = film(tmp_path / "whole.ts", range(0, 250, 2)).read_bytes()
    growing = tmp_path / "growing.ts"
    growing.write_bytes(whole[: len(whole) * 3 // 4])
    source = camera(growing)
    await source.take(5)
    monkeypatch.setattr(source._video, "_began", time.monotonic() - 3.0)
    growing.write_bytes(whole)
    assert float((await source.take(5)).how.split(" at ")[1].removesuffix(" s")) >= 2.9


async def test_a_video_of_too_many_pixels_is_refused(camera, tmp_path, monkeypatch):
    monkeypatch.setattr("plugins.sources.file.video.MOST_PIXELS", 64 * 48 - 1)
    assert (await refusal(camera(film(tmp_path / "huge.mp4", [50] * 3)))).kind is Failure.DAMAGED


@pytest.mark.parametrize("kind", ["PPM", "PCX", "SGI", "JPEG2000"])
async def test_a_still_picture_in_the_guise_of_a_video_does_not_pass_the_limits_of_stills(camera, tmp_path, kind):
    path = paint(tmp_path / "clip.mp4", format=kind)
    assert (await refusal(camera(path))).kind is Failure.DAMAGED
