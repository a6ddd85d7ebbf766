"""One still picture from bytes: upright and RGB whatever the camera made, and never at any cost."""

import io
import json
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from plugins.sources import still
from plugins.sources.still import FORMATS, MOST_PIXELS, MOST_PIXELS_ELSE, NotAPicture, decode_still

RED, GREEN, BLUE, WHITE = (200, 30, 30), (30, 180, 40), (30, 40, 200), (250, 250, 250)
ROOT = Path(__file__).parents[3]
MEGABYTES = 260
"""What the worst of the bombs may take beyond an idle decoder, and so the largest picture a camera makes."""


def quarters() -> np.ndarray:
    """Red, green over blue, white."""
    pixels = np.full((48, 64, 3), WHITE, np.uint8)
    pixels[:24, :32], pixels[:24, 32:], pixels[24:, :32] = RED, GREEN, BLUE
    return pixels


def encoded(image: Image.Image | np.ndarray, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def near(pixels: np.ndarray, expected: np.ndarray, within: float = 6) -> bool:
    return pixels.shape == expected.shape and float(np.abs(pixels.astype(int) - expected).mean()) < within


def refusal(data: bytes) -> str:
    with pytest.raises(NotAPicture) as caught:
        decode_still(data, 1280)
    return str(caught.value)


# --- what cameras make


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("colour", [RED, GREEN, BLUE])
def test_red_is_red(kind, colour):
    pixels = np.full((40, 60, 3), colour, np.uint8)
    assert near(decode_still(encoded(pixels, kind), 1280), pixels)


@pytest.mark.parametrize(
    "options",
    [
        {"progressive": True},
        {"subsampling": "4:4:4"},
        {"subsampling": "4:2:0", "optimize": True},
        {"restart_marker_rows": 1},
        {"comment": b"\xff\xd9 no end"},
    ],
)
def test_every_kind_of_jpeg(options):
    assert near(decode_still(encoded(quarters(), "JPEG", quality=95, **options), 1280), quarters())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("long_edge", [1280, 32])
def test_a_picture_is_turned_as_its_exif_says(kind, orientation, long_edge):
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
    data = encoded(np.ascontiguousarray(undo[orientation](quarters())), kind, exif=exif, quality=95)
    expected = quarters() if long_edge > 64 else quarters()[::2, ::2]
    assert near(decode_still(data, long_edge), expected, 12)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_is_none_turns_nothing(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert near(decode_still(encoded(quarters(), "JPEG", exif=exif, quality=95), 1280), quarters())


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12" * 40, b"Exif\0\0II*\0\xff\xff\xff\xff"]
)
def test_damaged_exif_is_no_damaged_picture(exif):
    assert near(decode_still(encoded(quarters(), "JPEG", exif=exif, quality=95), 1280), quarters())


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("1", "PNG"), ("L", "PNG"), ("L", "JPEG"), ("LA", "PNG"), ("P", "PNG"), ("RGBA", "PNG"), ("CMYK", "JPEG")],
)
@pytest.mark.parametrize("grey", [0, 255])
def test_every_colour_mode_becomes_rgb(mode, kind, grey):
    image = Image.new("RGB", (20, 10), (grey, grey, grey)).convert(mode)
    assert near(decode_still(encoded(image, kind), 1280), np.full((10, 20, 3), grey))


def test_the_colours_of_a_palette_and_of_cmyk():
    palette = Image.fromarray(quarters()).convert("P", palette=Image.Palette.ADAPTIVE)
    assert near(decode_still(encoded(palette, "PNG"), 1280), quarters())
    cmyk = Image.fromarray(quarters()).convert("CMYK")
    assert near(decode_still(encoded(cmyk, "JPEG", quality=95), 1280), quarters(), 10)


def test_sixteen_bits_of_grey_keep_their_shades():
    """A thermal camera's; Pillow alone cuts everything over 255 to white."""
    shades = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (48, 1))
    pixels = decode_still(encoded(Image.fromarray(shades), "PNG"), 1280)
    assert near(pixels, np.repeat((shades >> 8)[:, :, None], 3, axis=2), 1)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_what_is_transparent_is_black_whatever_lies_beneath(kind):
    image = np.dstack([quarters(), np.full((48, 64), 255, np.uint8)])
    image[:, :32, 3] = 0
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    pixels = decode_still(encoded(image, kind, **options), 1280)
    assert not pixels[:, :30].any()
    assert near(pixels[:, 34:], quarters()[:, 34:], 8)


def test_a_transparent_colour_of_a_palette_is_black():
    image = Image.new("P", (20, 10), 1)
    image.putpalette([0, 0, 0, *RED])
    assert not decode_still(encoded(image, "PNG", transparency=1), 1280).any()


@pytest.mark.parametrize("kind", ["WEBP", "PNG"])
def test_of_an_animation_the_first_picture_counts(kind):
    frames = [Image.new("RGB", (20, 10), colour) for colour in (RED, GREEN, BLUE)]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)
    assert near(decode_still(data, 1280), np.full((10, 20, 3), RED))


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (1281, 7), (4000, 3000), (4001, 2999)])
def test_any_size_is_made_to_fit(size):
    pixels = decode_still(encoded(Image.new("RGB", size, RED), "JPEG"), 1280)
    assert max(pixels.shape[:2]) == min(1280, max(size))
    assert near(pixels, np.full(pixels.shape, RED))
    assert pixels.dtype == np.uint8


# --- what is not whole, or no picture


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
@pytest.mark.parametrize(("kind", "rest"), [*((kind, 0) for kind in FORMATS), ("JPEG", 1), ("PNG", 1), ("WEBP", 1)])
def test_half_a_picture_is_none(kind, share, rest):
    """Cut off, or the rest still zeros: a share's or an FTP server's file whose size was reserved."""
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    whole = encoded(noise, kind)
    there = int(len(whole) * share)
    assert "not a whole picture" in refusal(whole[:there] + bytes(rest * (len(whole) - there)))


DAMAGE = {
    "the rest is missing, and there is an end": lambda whole, half: whole[:half] + whole[-2:],
    "a piece of the middle is missing": lambda whole, half: whole[:half] + whole[half + 500 :],
}


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 2}], ids=str)
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_jpeg_damaged_on_its_way_is_refused(damage, options):
    """An ESP32-CAM's whose buffer ran over: it begins and ends well, and libjpeg makes grey or wrong colours of it."""
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    whole = encoded(noise, "JPEG", **options)
    decode_still(whole, 1280)
    assert "not a whole picture" in refusal(DAMAGE[damage](whole, len(whole) // 2))


def test_an_odd_jpeg_is_no_damaged_one():
    whole = encoded(quarters(), "JPEG", quality=95)
    filled = whole.replace(b"\xff\xdb", b"\xff\xff\xff\xdb").replace(b"\xff\xda", b"\xff\xff\xda")
    without_tables = b"".join(
        part
        for part in whole.replace(b"\xff\xc4", b"\0cut\xff\xc4").replace(b"\xff\xda", b"\0cut\xff\xda").split(b"\0cut")
        if not part.startswith(b"\xff\xc4")
    )
    two = encoded(quarters(), "MPO", quality=95, save_all=True, append_images=[Image.new("RGB", (64, 48))])
    for odd in (filled, without_tables, two):
        assert near(decode_still(odd, 1280), quarters())


@pytest.mark.parametrize("progressive", [False, True])
def test_the_end_of_a_jpegs_thumbnail_is_not_its_own(progressive):
    exif = Image.Exif()
    thumbnail = encoded(Image.new("RGB", (8, 8)), "JPEG")
    exif[0x9286] = thumbnail
    whole = encoded(quarters(), "JPEG", exif=exif, quality=95, progressive=progressive)
    assert near(decode_still(whole, 1280), quarters())
    assert "its end is missing" in refusal(whole[:-2] + b"\0\0")


@pytest.mark.parametrize("trailer", [b"\0" * 500, b"\r\n", b"SEFT" * 100])
def test_what_cameras_append_does_no_harm(trailer):
    assert near(decode_still(encoded(quarters(), "JPEG", quality=95) + trailer, 1280), quarters())


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8" + b"\xff" * 99, b"<html>", b"\0" * 99]
)
def test_what_is_no_picture(data):
    assert refusal(data).startswith("is not a whole picture")


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PPM", "ICO", "TGA", "PCX", "JPEG2000"])
def test_other_formats_are_refused(kind):
    refusal(encoded(Image.new("RGB", (16, 16)), kind))


@pytest.mark.parametrize("kind", ["GIF", "TIFF"])
def test_a_gif_or_tiff_is_told_what_is_taken(kind):
    assert "JPEG, PNG, WEBP, BMP" in refusal(encoded(Image.new("RGB", (16, 16)), kind))


def test_large_pictures_are_decoded_one_at_a_time_and_hold_up_no_small_one():
    large, small = (encoded(Image.new("RGB", size, RED), "JPEG") for size in ((2560, 1440), (1920, 1080)))
    decoded = []
    thread = threading.Thread(target=lambda: decoded.append(decode_still(large, 1280)))
    with still._one_at_a_time:
        thread.start()
        decode_still(small, 1280)
        assert not decoded
    thread.join(30)
    assert len(decoded) == 1


# --- bombs, each in a process of its own whose memory is measured


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes, bits: int = 8, colour: int = 2) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def zeros(size: int) -> bytes:
    squeeze = zlib.compressobj(9)
    return b"".join(squeeze.compress(bytes(1 << 20)) for _ in range(-(-size >> 20))) + squeeze.flush()


def jpeg_of(width: int, height: int, *, progressive: bool) -> bytes:
    data = bytearray(encoded(Image.new("RGB", (16, 16)), "JPEG", progressive=progressive, subsampling="4:4:4"))
    at = data.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def webp_of(width: int, height: int) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    animation = b"ANIM" + struct.pack("<IIH", 6, 0, 0)
    frame = encoded(Image.new("RGB", (16, 16), RED), "WEBP")[12:]
    there = b"ANMF" + struct.pack("<I", 16 + len(frame)) + bytes(6) + b"\x0f\0\0\x0f\0\0" + bytes(4) + frame
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + size + animation + there
    return b"RIFF" + struct.pack("<I", len(body)) + body


def bmp_of(width: int, height: int, *, squeezed: bool = False) -> bytes:
    body = bytes([255, 0]) * 100 if squeezed else bytes(100)
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8 if squeezed else 24, squeezed, len(body), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 1024 + len(body), 0, 0, 54 + 1024) + header + bytes(1024) + body


EDGE, EDGE_ELSE = int(MOST_PIXELS**0.5), int(MOST_PIXELS_ELSE**0.5)


def jpeg_of_many_scans() -> bytes:
    """Each of some 60 bytes: in a file of 20 MB they would keep a processor for hours."""
    whole = encoded(Image.new("RGB", (EDGE, EDGE)), "JPEG", progressive=True)
    last = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + last * 3000 + whole[-2:]


BOMBS = {
    "png of a gigapixel": lambda: png(60_000, 60_000, chunk(b"IDAT", b"x")),
    "png of all that is allowed": lambda: png(
        EDGE_ELSE, EDGE_ELSE, chunk(b"IDAT", zeros((EDGE_ELSE * 4 + 1) * EDGE_ELSE)), colour=6
    ),
    "png of all that is allowed, 16 bits": lambda: png(
        EDGE_ELSE, EDGE_ELSE, chunk(b"IDAT", zeros(EDGE_ELSE * EDGE_ELSE * 2)), bits=16, colour=0
    ),
    "png with 600 MB of text": lambda: png(8, 8, chunk(b"zTXt", b"a\0\0" + zeros(600_000_000)), chunk(b"IDAT", b"x")),
    "png with 600 MB of colour profile": lambda: png(
        8, 8, chunk(b"iCCP", b"a\0\0" + zeros(600_000_000)), chunk(b"IDAT", b"x")
    ),
    "png with many texts": lambda: png(8, 8, *[chunk(b"zTXt", b"%d\0\0" % n + zeros(1 << 20)) for n in range(400)]),
    "jpeg of 4 gigapixels": lambda: jpeg_of(65_500, 65_500, progressive=False),
    "jpeg of all that is allowed": lambda: jpeg_of(EDGE, EDGE, progressive=False),
    "progressive jpeg of all that is allowed": lambda: jpeg_of(EDGE, EDGE, progressive=True),
    "jpeg of many scans": jpeg_of_many_scans,
    "jpeg of nothing but remarks": lambda: (
        b"\xff\xd8" + b"\xff\xfe\xff\xff".ljust(65537, b"x") * 700 + b"\xff\xda\xff\xd9"
    ),
    "webp of 268 megapixels": lambda: webp_of(16_384, 16_384),
    "webp of all that is allowed": lambda: webp_of(EDGE_ELSE, EDGE_ELSE),
    "bmp of a gigapixel": lambda: bmp_of(60_000, 60_000),
    "bmp of all that is allowed": lambda: bmp_of(EDGE_ELSE, EDGE_ELSE),
    "squeezed bmp of all that is allowed": lambda: bmp_of(EDGE_ELSE, EDGE_ELSE, squeezed=True),
}
CHILD = """
import json, resource, sys, time
from PIL import Image
import plugins.sources.still as still

def peak():
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Not ru_maxrss, which begins with what the parent had when it forked.
    return 1024 * int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0])

data = open(sys.argv[1], "rb").read()
Image.init()
before = peak()
began, outcome = time.process_time(), "decoded"
try:
    still.decode_still(data, 1280)
except still.NotAPicture as error:
    outcome = str(error)
print(json.dumps({"megabytes": (peak() - before) / 1e6, "seconds": time.process_time() - began, "outcome": outcome}))
"""


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_takes_bounded_memory_and_time(name, tmp_path):
    (tmp_path / "bomb").write_bytes(BOMBS[name]())
    command = [sys.executable, "-c", CHILD, str(tmp_path / "bomb")]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=100)
    spent = json.loads(done.stdout)
    print(name, spent)
    assert spent["megabytes"] < MEGABYTES
    assert spent["seconds"] < 15
    if "gigapixel" in name or "268" in name:
        assert " megapixels" in spent["outcome"]
        assert spent["megabytes"] < 10
