import hashlib
import io
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from agent.picture import MARGIN, prepare, sent, shown
from agent.values import Geometry, ModelView

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
SQUARE_96 = ModelView(Geometry.SQUARE, 96)
SQUARE_512 = ModelView(Geometry.SQUARE, 512)
ASPECT_768 = ModelView(Geometry.ASPECT, 768)
VIEWS = [SQUARE_96, SQUARE_512, ASPECT_768, ModelView(Geometry.ASPECT, 1280)]


def plain(width, height, colour=WHITE):
    return np.full((height, width, 3), colour, np.uint8)


def quarters(width=400, height=200):
    """Red, green over blue, white."""
    pixels = plain(width, height)
    pixels[: height // 2, : width // 2] = RED
    pixels[: height // 2, width // 2 :] = GREEN
    pixels[height // 2 :, : width // 2] = BLUE
    return pixels


def noise(width, height):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def opened(picture):
    image = Image.open(io.BytesIO(picture.jpeg))
    assert image.format == "JPEG"
    assert image.mode == "RGB"
    assert image.size == (picture.width, picture.height)
    assert hashlib.sha256(picture.jpeg).hexdigest() == picture.sha256
    return np.asarray(image).astype(int)


def near(pixel, colour):
    return all(abs(int(a) - b) < 12 for a, b in zip(pixel, colour, strict=True))


@pytest.mark.parametrize("colour", [RED, GREEN, BLUE])
def test_a_red_picture_is_red_for_people_and_for_the_model(colour):
    pixels = plain(640, 480, colour)
    for picture in (shown(pixels), *(sent(pixels, view) for view in VIEWS)):
        assert near(opened(picture).mean(axis=(0, 1)), colour)


def test_people_see_the_true_aspect_and_the_model_its_square():
    pixels = quarters(1920, 1080)
    assert opened(shown(pixels)).shape == (720, 1280, 3)
    square = opened(sent(pixels, SQUARE_512))
    assert square.shape == (512, 512, 3)
    for y, x, colour in ((100, 100, RED), (100, 400, GREEN), (400, 100, BLUE), (400, 400, WHITE)):
        assert near(square[y, x], colour)


def test_a_model_that_wants_the_aspect_gets_it_and_no_pixel_that_was_not_there():
    assert opened(sent(quarters(1920, 1080), ASPECT_768)).shape == (432, 768, 3)
    assert opened(sent(quarters(1080, 1920), ASPECT_768)).shape == (768, 432, 3)
    assert opened(sent(quarters(320, 240), ASPECT_768)).shape == (240, 320, 3)


@pytest.mark.parametrize(
    ("width", "height", "view"),
    [
        (1920, 1080, SQUARE_512),
        (1366, 768, SQUARE_512),
        (853, 641, ModelView(Geometry.SQUARE, 333)),
        (1920, 1080, ASPECT_768),
    ],
)
def test_the_model_gets_what_pillow_would_make_of_it(width, height, view):
    """As sharp, with its whole colour, and in its place: of noise, each of these shows. The JPEG alone makes 4 or 5."""
    pixels = noise(width, height)
    made = sent(pixels, view)
    buffer = io.BytesIO()
    expected = Image.fromarray(pixels).resize((made.width, made.height), Image.Resampling.BICUBIC)
    expected.save(buffer, "JPEG", quality=90, subsampling="4:4:4")
    assert np.abs(opened(made) - np.asarray(Image.open(buffer))).mean() < 6


def test_pictures_made_at_once_are_as_those_made_alone():
    made = [(noise(width, 480), view) for width in (640, 801) for view in VIEWS]
    alone = [sent(*one).jpeg for one in made]
    with ThreadPoolExecutor(8) as pool:
        assert [picture.jpeg for picture in pool.map(lambda one: sent(*one), made * 5)] == alone * 5


def test_small_pictures_are_shown_as_they_are():
    assert opened(shown(quarters(640, 480))).shape == (480, 640, 3)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 2), (2, 3), (1, 5000), (5000, 1), (333, 97), (1281, 1280)])
def test_odd_sizes(width, height):
    pixels = plain(width, height, RED)
    assert max(opened(shown(pixels)).shape) <= 1280
    for view in VIEWS:
        picture = opened(sent(pixels, view))
        assert max(picture.shape) <= view.size
        assert near(picture.mean(axis=(0, 1)), RED)
    assert prepare(pixels, rotate=90, crop=(0.9, 0.9, 1, 1), masks=[[(0, 0), (1, 0), (1, 1)]]).size > 0


def test_the_largest_camera_is_no_trouble():
    pixels = np.tile(quarters(1920, 1080), (4, 4, 1))
    assert pixels.shape == (4320, 7680, 3)
    began = time.process_time()
    assert opened(shown(prepare(pixels, masks=[[(0, 0), (1, 0), (1, 1)]]))).shape == (720, 1280, 3)
    assert opened(sent(pixels, SQUARE_512)).shape == (512, 512, 3)
    assert time.process_time() - began < 10


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1280, 1280), (4096, 4096)])
def test_what_people_see_stays_under_500_kb(width, height):
    picture = shown(noise(width, height))
    assert len(picture.jpeg) < 500_000
    opened(picture)


def test_quality_is_only_lowered_where_it_must_be():
    smooth = np.asarray(Image.fromarray(noise(40, 22)).resize((1280, 720), Image.Resampling.BICUBIC))
    buffer = io.BytesIO()
    Image.fromarray(smooth).save(buffer, "JPEG", quality=80)
    assert shown(smooth).jpeg == buffer.getvalue()


@pytest.mark.parametrize("pixels", [plain(1, 1), plain(96, 96), quarters(512, 512), quarters(1280, 720)])
def test_the_models_picture_is_never_the_one_people_see(pixels):
    assert all(sent(pixels, view).sha256 != shown(pixels).sha256 for view in VIEWS)


@pytest.mark.parametrize(
    ("rotate", "corners"),
    [
        (0, [RED, GREEN, BLUE, WHITE]),
        (90, [BLUE, RED, WHITE, GREEN]),
        (180, [WHITE, BLUE, GREEN, RED]),
        (270, [GREEN, WHITE, RED, BLUE]),
    ],
)
def test_rotation_is_clockwise(rotate, corners):
    turned = prepare(quarters(), rotate=rotate)
    assert turned.shape == ((200, 400, 3) if rotate in (0, 180) else (400, 200, 3))
    found = [tuple(turned[y, x]) for y in (0, -1) for x in (0, -1)]
    assert found == corners


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
@pytest.mark.parametrize(("flip", "mirrored"), [(None, np.asarray), ("horizontal", np.fliplr), ("vertical", np.flipud)])
def test_flip_mirrors_the_picture_as_rotate_left_it(rotate, flip, mirrored):
    expected = mirrored(np.rot90(quarters(), -rotate // 90))
    assert (prepare(quarters(), rotate=rotate, flip=flip) == expected).all()
    assert (prepare(quarters(), rotate=rotate, flip=flip, crop=(0, 0, 0.5, 0.5)) == expected[0, 0]).all()
    corner = [(0, 0), (0.25, 0), (0.25, 0.25), (0, 0.25)]
    masked = prepare(quarters(), rotate=rotate, flip=flip, masks=[corner])
    assert not masked[0, 0].any()
    assert (masked[-1, -1] == expected[-1, -1]).all()


def test_crop_keeps_the_part_it_names_of_the_upright_picture():
    assert (prepare(quarters(), crop=(0, 0, 0.5, 0.5)) == RED).all()
    assert (prepare(quarters(), rotate=90, crop=(0, 0, 0.5, 0.5)) == BLUE).all()
    assert prepare(quarters(), crop=(0.25, 0.2, 1, 0.9)).shape == (140, 300, 3)


def test_masks_are_black_and_do_not_move_with_the_crop():
    left_half = [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]
    pixels = quarters()
    masked = prepare(pixels, masks=[left_half])
    assert (masked[:, :200] == 0).all()
    assert not (masked[:, 201 + MARGIN :] == 0).all(axis=2).any()
    assert (prepare(pixels, masks=[left_half], crop=(0.1, 0.0, 0.5, 1.0)) == 0).all()
    assert (prepare(pixels, rotate=90, masks=[left_half])[:, :100] == 0).all()
    assert (pixels[0, 0] == RED).all(), "the frame itself must stay as it was"


@pytest.mark.parametrize("mask", [[(0, 0), (1, 0), (1, 1), (0, 1)], [(-1, -1), (2, -1), (2, 2), (-1, 2)]])
def test_a_mask_over_everything_leaves_nothing(mask):
    for width, height in ((1, 1), (3, 2), (641, 479)):
        assert (prepare(plain(width, height), masks=[mask]) == 0).all()


def test_masked_pixels_reach_nobody():
    """What is masked must not shine through the scaling or the JPEG either."""
    secret = [(0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)]
    one, other = plain(1920, 1080), plain(1920, 1080)
    other[270:810, 480:1440] = noise(960, 540)
    one, other = prepare(one, masks=[secret]), prepare(other, masks=[secret])
    assert shown(one).sha256 == shown(other).sha256
    for view in VIEWS:
        assert sent(one, view).sha256 == sent(other, view).sha256
        seen = opened(sent(one, view))
        height, width, _ = seen.shape
        assert not seen[height // 3 : height * 2 // 3, width // 3 : width * 2 // 3].any(), "black"


unit = st.floats(0, 1)


@given(
    corners=st.tuples(*[st.tuples(unit, unit)] * 3),
    inside=st.lists(st.tuples(unit, unit), min_size=20, max_size=20),
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
)
@example(corners=((0.0, 0.75), (0.0, 0.75), (1.0, 0.0)), inside=[(0.0, 0.4)], size=(22, 4))  # a line, and no area
@example(corners=((0.0, 1.0),) * 3, inside=[], size=(1, 1))  # on the lower edge, which is one past the last pixel
def test_no_point_of_a_mask_stays_visible(corners, inside, size):
    """At its edges and at any angle: a pixel that the mask only touches is black."""
    width, height = size
    masked = prepare(plain(width, height), masks=[corners])
    for one, other in [*inside, (0, 0), (1, 0), (0, 1)]:
        along, across = (one, other) if one + other <= 1 else (1 - one, 1 - other)
        shares = (1 - along - across, along, across)
        x, y = (sum(share * corner[axis] for share, corner in zip(shares, corners, strict=True)) for axis in (0, 1))
        assert not masked[min(int(y * height), height - 1), min(int(x * width), width - 1)].any()


def test_nothing_of_what_a_mask_hides_is_in_a_picture_that_its_source_made_smaller():
    """A camera's 4K picture is 1280 wide when the mask is painted: the pixels beside it hold something of it."""
    masks = [[(0.251, 0.252), (0.703, 0.31), (0.66, 0.701), (0.2, 0.6)]]
    hidden = Image.new("L", (3840, 2160))
    ImageDraw.Draw(hidden).polygon([(x * 3840, y * 2160) for x, y in masks[0]], fill=255)
    outcomes = []
    for secret in (plain(3840, 2160, BLUE), noise(3840, 2160)):
        camera = Image.composite(Image.fromarray(secret), Image.new("RGB", (3840, 2160), WHITE), hidden)
        small = camera.resize((1280, 720), Image.Resampling.LANCZOS, reducing_gap=3.0)
        pixels = prepare(np.asarray(small), masks=masks)
        outcomes.append((shown(pixels).sha256, *(sent(pixels, view).sha256 for view in VIEWS)))
    assert outcomes[0] == outcomes[1]


def test_a_picture_says_nothing_but_its_pixels():
    for picture in (shown(quarters()), sent(quarters(), SQUARE_96)):
        markers, at = [], 2
        while picture.jpeg[at + 1] != 0xDA:
            markers.append(picture.jpeg[at + 1])
            at += 2 + int.from_bytes(picture.jpeg[at + 2 : at + 4])
        assert set(markers) <= {0xE0, 0xDB, 0xC0, 0xC4}, "JFIF, tables, size: no EXIF, colour profile or remark"


def test_nothing_is_copied_where_nothing_is_asked():
    pixels = quarters()
    assert prepare(pixels) is pixels
