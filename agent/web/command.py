"""``camscribe web``: the passwords and tokens of the pages and the API."""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent import logs
from agent.config import Config, find, load
from agent.errors import Misconfigured
from agent.web.access.credentials import NAME_ALLOWED, Credentials, new_token, user_name
from agent.web.access.passwords import LONGEST, hashed, password_fault
from agent.web.access.rule import fault
from agent.web.access.store import Store

app = typer.Typer(help="Who may see the pages and use the API: passwords and tokens.", no_args_is_help=True)
token = typer.Typer(help="Tokens: how programs prove who they are.", no_args_is_help=True)
app.add_typer(token, name="token")

USUAL_USER = "admin"

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The config file, whose data_dir keeps them. Else as `run` finds it."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
TokenName = Annotated[str, typer.Argument(help="What it is for, such as grafana.")]


@app.command()
def password(
    user: Annotated[str, typer.Option("--user", "-u", help="Whose password it is.")] = USUAL_USER,
    config: ConfigOption = None,
) -> None:
    """Set a user's password, who is added where there is none of that name.

    Asks for it twice, or reads a line where the input is no terminal. From then on the pages and the API want a
    password or a token of everybody, on this machine too. A running service takes it over within seconds; whoever was
    logged in as that user no longer is.

    Example: camscribe web password --user anna
    """
    settings = _load(config)
    name = _name(user, "user")
    given = _asked(name) if sys.stdin.isatty() else sys.stdin.readline(LONGEST + 2).rstrip("\r\n")
    if wrong := password_fault(given, name):
        _stop(wrong)
    kept = hashed(given)
    _change(settings, lambda credentials: credentials.with_user(name, kept))
    _say(f"{name} can log in with this password now.{_where(settings)}")


@app.command()
def users(config: ConfigOption = None, json_: JsonOption = False) -> None:
    """Who has a password.

    Example: camscribe web users
    """
    names = sorted(_read(_load(config)).users)
    if json_:
        print(json.dumps(names, ensure_ascii=False))  # noqa: T201
    else:
        _say("\n".join(names) or "Nobody has a password. 'camscribe web password' sets one.")


@app.command()
def rm(name: Annotated[str, typer.Argument(help="A user that `users` shows.")], config: ConfigOption = None) -> None:
    """Take a user away, who is logged out everywhere.

    Exit 2 if there is none of that name.

    Example: camscribe web rm anna
    """
    settings = _load(config)
    known = user_name(name) or name

    def without(credentials: Credentials) -> Credentials:
        if known not in credentials.users:
            raise Misconfigured(_no_such("user", name, credentials.users))
        return credentials.without_user(known)

    left = _change(settings, without)
    _say(f"{known} can't log in any more.")
    _warn_when_open(settings, left)


@token.command()
def add(name: TokenName, config: ConfigOption = None) -> None:
    """Make a token and print it, this once.

    A program sends it as 'Authorization: Bearer …' and may then do whatever a user may. Exit 2 if there is one of that
    name already.

    Example: camscribe web token add grafana
    """
    settings = _load(config)
    known = _name(name, "token")
    made = new_token()

    def with_it(credentials: Credentials) -> Credentials:
        if known in credentials.tokens:
            told = f"There is a token {known} already. It can't be shown again: remove it first, or take another name."
            raise Misconfigured(told)
        return credentials.with_token(known, made, datetime.now(UTC))

    _change(settings, with_it)
    print(made)  # noqa: T201 (alone on stdout, so that a script can keep it)
    print(f"Keep it now: it can't be shown again.{_where(settings)}", file=sys.stderr)  # noqa: T201


@token.command("list")
def list_(config: ConfigOption = None, json_: JsonOption = False) -> None:
    """What tokens there are, without what they are.

    Example: camscribe web token list
    """
    tokens = sorted(_read(_load(config)).tokens.items())
    if json_:
        listed = [{"name": name, "made": one.made.isoformat(timespec="seconds")} for name, one in tokens]
        print(json.dumps(listed, indent=2, ensure_ascii=False))  # noqa: T201
        return
    if not tokens:
        _say("There is none. 'camscribe web token add NAME' makes one.")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("TOKEN", "MADE"):
        table.add_column(title, no_wrap=True)
    for name, one in tokens:
        table.add_row(Text(name), Text(one.made.astimezone().strftime("%Y-%m-%d %H:%M")))
    Console().print(table)


@token.command("rm")
def remove(name: TokenName, config: ConfigOption = None) -> None:
    """Take a token away: who sends it is refused from then on.

    Exit 2 if there is none of that name.

    Example: camscribe web token rm grafana
    """
    settings = _load(config)
    known = user_name(name) or name

    def without(credentials: Credentials) -> Credentials:
        if known not in credentials.tokens:
            raise Misconfigured(_no_such("token", name, credentials.tokens))
        return credentials.without_token(known)

    left = _change(settings, without)
    _say(f"The token {known} is worth nothing any more.")
    _warn_when_open(settings, left)


def _asked(name: str) -> str:
    try:
        given = getpass.getpass(f"New password of {name}: ")
        if wrong := password_fault(given, name):  # before it is typed again
            _stop(wrong)
        if getpass.getpass("Once more: ") != given:
            _stop("The two are different: nothing was changed.")
    except (EOFError, KeyboardInterrupt):
        _stop("Stopped: nothing was changed.", 1)
    return given


def _name(text: str, what: str) -> str:
    name = user_name(text)
    if name is None:
        _stop(f"{text!r} can't be a {what}'s name, which has {NAME_ALLOWED}.")
    return name


def _no_such(what: str, name: str, known: Iterable[str]) -> str:
    return f"There is no {what} {name!r}. There is: {', '.join(sorted(known)) or 'none'}."


def _load(path: Path | None) -> Config:
    logs.configure("WARNING")
    try:
        return load(find(path, os.environ), os.environ)
    except Misconfigured as error:
        _stop(str(error))


def _read(settings: Config) -> Credentials:
    try:
        return Store(settings.data_dir).read() or Credentials.new()
    except Misconfigured as error:
        _stop(str(error))


def _change(settings: Config, changed: Callable[[Credentials], Credentials]) -> Credentials:
    try:
        return Store(settings.data_dir).change(changed)
    except Misconfigured as error:
        _stop(str(error))


def _where(settings: Config) -> str:
    if settings.web is None:
        return f" But {settings.path} says 'web: false': there are no pages."
    return (
        f" A running service knows it within seconds. It is kept in {settings.data_dir}: a service with another "
        "data_dir does not."
    )


def _warn_when_open(settings: Config, left: Credentials) -> None:
    """The last one has gone."""
    if left.any or settings.web is None:
        return
    told = "Nobody has a password or a token any more: whoever uses this machine is let in."
    print(fault(settings.web, left) or told, file=sys.stderr)  # noqa: T201


def _say(text: str) -> None:
    Console().print(text, markup=False, highlight=False, soft_wrap=True)


def _stop(message: str, code: int = 2) -> NoReturn:
    print(message, file=sys.stderr)  # noqa: T201
    raise typer.Exit(code)
