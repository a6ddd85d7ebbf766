"""One picture from the disk as a camera, and what is missing or broken."""

import asyncio
import os
import struct
import time
import zlib

import av
import numpy as np
import pytest
from PIL import Image

from agent.plugin import CameraState, Failure
from tests.plugins.sources.file.files import (
    BLUE,
    GREEN,
    ODD_NAMES,
    RED,
    film,
    looks_like,
    paint,
    refusal,
    whole_jpeg,
)


async def test_a_picture_is_the_same_at_each_look_and_counts_as_just_taken(camera, tmp_path):
    path = paint(tmp_path / "door.png")
    os.utime(path, (1, 1))
    source = camera(path)
    for _ in range(2):
        before = time.monotonic()
        frame = await source.take(5)
        assert looks_like(frame, RED)
        assert (frame.camera, frame.how, frame.pixels.shape) == ("cam", "door.png", (48, 64, 3))
        assert before <= frame.taken.monotonic <= time.monotonic()
    assert source.states[-1] == (CameraState.LIVE, "")


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.bmp", "A.JPG"])
async def test_it_reads_the_usual_formats(camera, tmp_path, name):
    assert looks_like(await camera(paint(tmp_path / name)).take(5), RED)


async def test_a_picture_without_an_extension_is_known_by_its_content(camera, tmp_path):
    assert looks_like(await camera(paint(tmp_path / "snapshot", format="JPEG")).take(5), RED)


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_odd_names_are_names_like_any_other(camera, tmp_path, name):
    frame = await camera(paint(tmp_path / name)).take(5)
    assert looks_like(frame, RED)
    assert frame.how.isprintable()


@pytest.mark.parametrize("orientation", range(1, 9))
async def test_a_picture_is_turned_as_its_exif_says(camera, tmp_path, orientation):
    upright = np.zeros((48, 64, 3), np.uint8)
    upright[:24, :32], upright[:24, 32:], upright[24:, :32] = RED, GREEN, BLUE
    undo = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: np.transpose(a, (1, 0, 2)),
        6: np.rot90,
        7: lambda a: np.rot90(np.transpose(a, (1, 0, 2)), 2),
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(undo[orientation](upright))).save(tmp_path / "t.jpg", exif=exif, quality=95)
    frame = await camera(tmp_path / "t.jpg").take(5)
    assert frame.pixels.shape == upright.shape
    assert np.abs(frame.pixels.astype(int) - upright).mean() < 6


async def test_a_large_picture_is_made_smaller_and_a_small_one_left_alone(camera, tmp_path):
    large, small = paint(tmp_path / "l.jpg", size=(4000, 3000)), paint(tmp_path / "s.png", size=(40, 30))
    assert (await camera(large, long_edge=640).take(5)).pixels.shape == (480, 640, 3)
    assert (await camera(small, long_edge=640).take(5)).pixels.shape == (30, 40, 3)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1"])
async def test_every_colour_mode_becomes_rgb(camera, tmp_path, mode):
    path = tmp_path / ("m.jpg" if mode == "CMYK" else "m.png")
    Image.new("RGB", (20, 10), (255, 255, 255)).convert(mode).save(path)
    assert looks_like(await camera(path).take(5), (255, 255, 255))


async def test_a_decompression_bomb_is_refused_before_it_is_decoded(camera, tmp_path):
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    for edge in (3100, 9700, 60_000):  # over the limit; over Pillow's warning; over Pillow's own limit
        header = struct.pack(">IIBBBBB", edge, edge, 8, 2, 0, 0, 0)
        path = tmp_path / f"bomb{edge}.png"
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"x") + chunk(b"IEND", b""))
        refused = await refusal(camera(path))
        assert refused.kind is Failure.DAMAGED
        assert "9 megapixels" in str(refused)


async def test_a_file_over_50_megabytes_is_refused(camera, tmp_path):
    path = paint(tmp_path / "huge.jpg")
    os.truncate(path, 50_000_001)
    assert "50 MB" in str(await refusal(camera(path)))


async def test_a_replaced_picture_is_seen(camera, tmp_path):
    source = camera(paint(tmp_path / "now.png", RED))
    await source.take(5)
    paint(tmp_path / "now.png", BLUE)
    assert looks_like(await source.take(5), BLUE)


async def test_a_missing_file_is_named_at_the_look_not_before(camera, tmp_path):
    source = camera(tmp_path / "gone.jpg")
    refused = await refusal(source)
    assert refused.kind is Failure.NOT_FOUND
    assert str(tmp_path / "gone.jpg") in str(refused)
    assert source.states[-1] == (CameraState.NOT_FOUND, str(refused))
    paint(tmp_path / "gone.jpg")
    assert looks_like(await source.take(5), RED)
    assert source.states[-1] == (CameraState.LIVE, "")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("empty.jpg", b""),
        ("empty.mp4", b""),
        ("garbage.jpg", b"\x00\x01garbage" * 500),
        ("garbage.mp4", b"\x00\x01garbage" * 500),
        ("garbage", b"\x00\x01garbage" * 500),
        ("text.png", b"<html>not found</html>"),
        ("half.jpg", whole_jpeg()[:9000]),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:3,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"),
    ],
)
async def test_a_broken_file_is_damaged(camera, tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    refused = await refusal(camera(tmp_path / name))
    assert refused.kind is Failure.DAMAGED
    assert name in str(refused)


async def test_a_playlist_does_not_open_the_files_it_names(camera, tmp_path):
    film(tmp_path / "secret.mp4", range(0, 200, 20))
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile 'secret.mp4'\n")
    assert (await refusal(camera(tmp_path / "list.mp4"))).kind is Failure.DAMAGED


async def test_a_sound_file_holds_no_video(camera, tmp_path):
    with av.open(str(tmp_path / "bell.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        silence.rate = 8000
        container.mux(stream.encode(silence))
        container.mux(stream.encode(None))
    assert (await refusal(camera(tmp_path / "bell.wav"))).kind is Failure.NO_VIDEO


async def test_a_pipe_is_neither_file_nor_folder_and_holds_nothing_up(camera, tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert (await refusal(camera(tmp_path / "pipe.jpg"))).kind is Failure.SOURCE


async def test_a_path_through_a_file_is_not_found(camera, tmp_path):
    assert (await refusal(camera(paint(tmp_path / "a.png") / "b.png"))).kind is Failure.NOT_FOUND


async def test_a_read_that_hangs_times_out_and_the_camera_recovers(camera, tmp_path, monkeypatch):
    """A read from a share that went away; a pipe takes its place here, found only after the check for one."""
    pipe = tmp_path / "p.png"
    os.mkfifo(pipe)
    monkeypatch.setattr("plugins.sources.file.source._kind", lambda _path: 0o100644)
    source = camera(pipe)
    for _ in range(2):
        refused = await refusal(source, 0.1)
        assert refused.kind is Failure.TIMEOUT
        assert "0.1 s" in str(refused)
    waiting = asyncio.create_task(source.take(5))
    writer = await asyncio.to_thread(pipe.open, "wb")  # which lets the hung read go on
    await asyncio.to_thread(pipe.unlink)
    await asyncio.to_thread(paint, pipe)
    await asyncio.to_thread(writer.close)
    assert looks_like(await waiting, RED)
