"""Where things are: the config file, the data folder."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from agent.errors import Misconfigured

FILE = "config.yaml"
SYSTEM = Path("/etc/camscribe")


def find(
    explicit: Path | None, environ: Mapping[str, str], *, platform: str = sys.platform, system: Path = SYSTEM
) -> Path:
    """The config file. Raises Misconfigured, which names where it looked."""
    for path, told in ((explicit, "--config"), (environ.get("CAMSCRIBE_CONFIG"), "$CAMSCRIBE_CONFIG")):
        if path:
            named = Path(path)
            with suppress(RuntimeError):  # ~ of a user who is not there: then it is no file either
                named = named.expanduser()
            if not named.exists():
                raise Misconfigured(f"There is no config file {named}, which {told} names.")
            return named
    places = [Path(FILE), *(folder / FILE for folder in config_folders(environ, platform=platform)), system / FILE]
    for place in places:
        if place.is_file():
            return place
    looked = ", ".join(str(place) for place in places)
    raise Misconfigured(f"There is no config file. Looked for {looked}. Name one with --config or $CAMSCRIBE_CONFIG.")


def config_folders(environ: Mapping[str, str], *, platform: str = sys.platform) -> list[Path]:
    """The user's own, first choice first; none where the user has no home."""
    home = _home(environ)
    if home is None:
        return []
    unix = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "camscribe"
    return [home / "Library" / "Application Support" / "camscribe", unix] if platform == "darwin" else [unix]


def data_dir(environ: Mapping[str, str], *, platform: str = sys.platform) -> Path:
    """Where the journal lives unless the config says it. Raises Misconfigured."""
    if state := environ.get("STATE_DIRECTORY"):  # systemd's; a list where the unit names several
        return Path(state.split(":")[0])
    home = _home(environ)
    if home is None:
        raise Misconfigured("this user has no home folder: say where the journal goes")
    if platform == "darwin":
        return home / "Library" / "Application Support" / "camscribe"
    return Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "camscribe"


def _home(environ: Mapping[str, str]) -> Path | None:
    if home := environ.get("HOME"):
        return Path(home)
    try:
        return Path.home()
    except RuntimeError:  # a user id without a name, as in a container
        return None
