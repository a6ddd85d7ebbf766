"""``camscribe model``: what models there are, what is on disk, and how it gets there and away."""

from __future__ import annotations

import typer

app = typer.Typer(help="Models: what there is, what is on disk; download and delete.", no_args_is_help=True)


@app.command("list")
def list_() -> None:
    """What there is."""
