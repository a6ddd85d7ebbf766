"""Who makes a request, once that is known. Routes find it at ``request.state.caller``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agent.web.access.sessions import Session


@dataclass(frozen=True, slots=True)
class Caller:
    kind: Literal["anybody", "home_assistant", "session", "token"]
    """``anybody``: there is no password, and only this machine can reach us."""
    name: str = ""
    """The user's or the token's."""
    session: Session | None = None
    """Where it can log out."""


ANYBODY = Caller("anybody")
HOME_ASSISTANT = Caller("home_assistant")
