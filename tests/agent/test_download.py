"""How far a download is, on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from agent.download import shown
from agent.plugin import Progress


@pytest.mark.parametrize("terminal", [True, False])
def test_file_is_shown_by_the_name_it_has(terminal: bool):
    """A hub may call it anything."""
    out = io.StringIO()
    with shown(Console(file=out, width=200, force_terminal=terminal)) as progress:
        progress(Progress("[red]Tiny[/x].gguf", 1, 2))
    assert "[red]Tiny[/x].gguf" in out.getvalue()
