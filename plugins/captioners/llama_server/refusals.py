"""The sentences for a download that failed: what happened, and what to do."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from agent.plugin import Misconfigured, mask_url
from plugins.captioners.engine.errors import NotStarted
from plugins.captioners.llama_server.presets import Hosted

HUB = "https://huggingface.co"
OWN_FILES = "name your own files as model and mmproj"


class NoRoom(NotStarted):
    """There is not enough room on the disk for the model."""


class Damaged(NotStarted):
    """A file came, and is not what it should be. It is deleted by now."""


def explain(failed: Mapping[str, Any], origin: Hosted, file: str) -> Exception:
    """What the fetcher's ``failed`` means: Misconfigured where trying again is no use, else NotStarted."""
    hub = mask_url(os.environ.get("HF_ENDPOINT") or HUB)
    return _address(failed, origin, hub) or _network(failed, origin, hub, file) or _refusal(failed, origin, hub)


def _address(failed: Mapping[str, Any], origin: Hosted, hub: str) -> Exception | None:
    match failed["kind"]:
        case "offline":
            return Misconfigured(
                f"The model {origin} is not on this machine, and HF_HUB_OFFLINE forbids to download it. Unset it for "
                f"once, choose a model that is here (camscribe model list), or {OWN_FILES}."
            )
        case "bad_address":
            return Misconfigured(
                f"HF_ENDPOINT or a proxy's variable is no address ({failed['what']}); {hub} was to be asked. Write "
                "https:// and a name."
            )
    return None


def _network(failed: Mapping[str, Any], origin: Hosted, hub: str, file: str) -> Exception | None:
    what = failed.get("what", "")
    match failed["kind"]:
        case "unreachable":
            return NotStarted(
                f"The model {origin} is not on this machine yet, and {hub} can't be reached ({what}). Check the "
                f"network (HTTPS_PROXY names a proxy, HF_ENDPOINT a mirror), or {OWN_FILES}."
            )
        case "broken" if not file:
            return NotStarted(
                f"The model {origin} is not on this machine yet, and {hub} gives no answer ({what}). Check the "
                f"network, or {OWN_FILES}."
            )
        case "broken":
            return NotStarted(
                f"The download of {origin} from {hub} broke off ({what}). What has arrived is kept, and the next try "
                "goes on from there."
            )
        case "nonsense":
            return NotStarted(
                f"What {hub} answers about {origin.repo} makes no sense ({what}). Does something on the way answer in "
                "its place, such as a hotspot's log-in page?"
            )
    return _file(failed, origin, hub, file)


def _file(failed: Mapping[str, Any], origin: Hosted, hub: str, file: str) -> Exception | None:
    match failed["kind"]:
        case "damaged":
            return Damaged(
                f"{file} from {hub} is not what {origin.repo} says it should be (wrong checksum), and was deleted. A "
                "mirror or a proxy on the way may have changed it: check HF_ENDPOINT and HTTPS_PROXY."
            )
        case "no_checksum":
            return Misconfigured(f"{hub} doesn't tell the checksum of {file}, so it can't be trusted: {OWN_FILES}.")
        case "disk" if failed["full"]:
            return NoRoom(
                f"The disk became full while {file or origin} was downloaded. What has arrived is kept: make room, and "
                "the next try goes on from there."
            )
        case "disk":
            return NotStarted(f"{file or origin} can't be written: {failed['what']}.")
    return None


def _refusal(failed: Mapping[str, Any], origin: Hosted, hub: str) -> Exception:
    status = failed.get("status", 0)
    token = "HF_TOKEN" in os.environ
    if failed["kind"] == "gated":
        account = "check that HF_TOKEN is of that account" if token else "and set HF_TOKEN to a token of that account"
        return Misconfigured(
            f"{origin.repo} wants its licence accepted first: log in at {HUB}/{origin.repo}, accept it, {account}."
        )
    if failed["kind"] == "no_repository" or status in {401, 403, 404}:
        hint = (
            ", and that HF_TOKEN is valid and may read it" if token else "; for one that needs an account, set HF_TOKEN"
        )
        return Misconfigured(f"{hub} has no repository {origin.repo} that we may read. Check its spelling{hint}.")
    if status == 429:
        return NotStarted(f"{hub} was asked too often from this address (HTTP 429). Wait some minutes; HF_TOKEN helps.")
    return NotStarted(f"{hub} failed to send {origin.repo} (HTTP {status}). Try again later.")
