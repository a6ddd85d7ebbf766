"""Which values of a config count as secrets."""

from __future__ import annotations

import pytest

from agent.config.secrets import url_secrets
from agent.redact import redact


@pytest.mark.parametrize("path", ["door", "500", "a/b", "myhome-8d7f2c", "hooks/8d7f2c11"])
def test_path_that_is_a_key_is_hidden_and_words_that_are_like_a_short_one_are_not(path: str):
    url = f"https://ntfy.sh/{path}"
    secrets = list(url_secrets(url, path_is_secret=True))
    assert redact(f"{url} answered", secrets) == "https://ntfy.sh*** answered"
    assert redact("front_door, 500 Internal Server Error", secrets) == "front_door, 500 Internal Server Error"
    hidden = redact(f"the key is {path}", secrets)
    assert (path in hidden) is (len(path) < 10)


def test_path_is_no_secret_where_nobody_says_so():
    assert list(url_secrets("https://viewer:pass@cam/stream1")) == ["pass", "pass"]
