from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.outputs.mqtt.payloads import cut, cut_bytes


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("A dog.", 6, "A dog."),
        ("A dog barks.", 8, "A dog…"),
        ("A dog barks.", 6, "A dog…"),
        ("A dog barks.", 5, "A…"),
        ("A dog, and a cat", 7, "A dog…"),
        ("Donaudampfschiff", 8, "Donauda…"),
        ("", 5, ""),
    ],
)
def test_cut_at_a_word_with_an_ellipsis(text, limit, expected):
    assert cut(text, limit) == expected


@given(st.text(), st.integers(1, 300))
def test_a_cut_text_is_never_longer_than_asked(text, limit):
    assert len(cut(text, limit)) <= limit


@given(st.text(), st.integers(10, 300))
def test_a_text_is_cut_by_the_bytes_it_takes_in_json(text, limit):
    made = cut_bytes(text, limit)
    assert len(json.dumps(made, ensure_ascii=False).encode("utf-8", "surrogatepass")) - 2 <= limit
    assert made == text or made.endswith("…")
