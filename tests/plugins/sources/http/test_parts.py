"""A multipart body as cameras write it, in pieces of any size."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.plugin import Moment
from plugins.sources.http.parts import MOST_PART, Malformed, Parts

NOW = Moment.now()
pictures = st.lists(
    st.binary(min_size=1, max_size=300).map(lambda data: b"\xff\xd8\xff" + data.replace(b"-", b"+") + b"\xff\xd9"),
    min_size=1,
    max_size=4,
)


def written(
    pictures: list[bytes], delimiter: bytes, newline: bytes, *, lengths: bool, end: bool, preamble: bytes = b""
) -> bytes:
    body = preamble
    for picture in pictures:
        length = b"Content-Length: %d%s" % (len(picture), newline) if lengths else b""
        body += delimiter + newline + b"Content-Type: image/jpeg" + newline + length + newline + picture + newline
    return body + delimiter + (b"--" if end else b"") + newline


def read(body: bytes, size: int) -> list[bytes]:
    parts = Parts()
    return [part.data for at in range(0, len(body), size) for part in parts.feed(body[at : at + size], NOW)]


@settings(max_examples=200)
@given(
    pictures=pictures,
    delimiter=st.sampled_from([b"--frame", b"--a", b"----=_Part_1", b"--myboundary 7", b"--"]),
    newline=st.sampled_from([b"\r\n", b"\n"]),
    lengths=st.booleans(),
    end=st.booleans(),
    preamble=st.sampled_from([b"", b"\r\n", b"this is a stream\r\n"]),
    size=st.sampled_from([1, 7, 64, 100_000]),
)
def test_any_way_of_writing_in_any_pieces(
    pictures: list[bytes], delimiter: bytes, newline: bytes, lengths: bool, end: bool, preamble: bytes, size: int
) -> None:
    body = written(pictures, delimiter, newline, lengths=lengths, end=end, preamble=preamble)
    assert [data.rstrip(b"\r\n") for data in read(body, size)] == [picture.rstrip(b"\r\n") for picture in pictures]


@settings(max_examples=300)
@given(body=st.binary(max_size=2000), size=st.sampled_from([1, 13, 5000]))
def test_noise_is_never_a_bug(body: bytes, size: int) -> None:
    with suppress(Malformed):
        read(b"--x\r\n" + body, size)


@pytest.mark.parametrize("said", [b"5", b"500", b"-1", b"many", b"0", b"1" * 9])
def test_length_that_is_a_lie_is_not_believed(said: bytes) -> None:
    body = b"".join(b"--frame\r\nContent-Length: %s\r\n\r\n%s\r\n" % (said, bytes([n]) * 100) for n in range(1, 20))
    if said == b"1" * 9:
        with pytest.raises(Malformed):
            read(body, 50)
        return
    found = read(body, 50)
    assert bytes([12]) * 100 in [data.rstrip(b"\r\n") for data in found]
    assert len(found) >= 10


def test_part_begins_with_its_first_byte_and_not_with_its_delimiter() -> None:
    parts, late = Parts(), NOW.plus(10)
    assert list(parts.feed(b"--frame\r\nContent-Length: 3\r\n\r\nold\r\n--frame\r\nContent-Length: 3\r\n\r\n", NOW))
    (part,) = parts.feed(b"new", late)
    assert (part.data, part.began) == (b"new", late)


def test_picture_with_a_length_need_not_wait_for_the_next() -> None:
    assert [part.data for part in Parts().feed(b"--f\r\nContent-Length: 3\r\n\r\nnew", NOW)] == [b"new"]


@pytest.mark.parametrize("begin", [b"", b"--x\r\n", b"--x\r\nA: b\r\n\r\n"])
def test_what_has_no_end_is_given_up(begin: bytes) -> None:
    parts = Parts()
    list(parts.feed(begin, NOW))
    pieces = (part for _ in range(MOST_PART // 50_000 + 2) for part in parts.feed(b"y" * 50_000, NOW))
    with pytest.raises(Malformed):
        list(pieces)
