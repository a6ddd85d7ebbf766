"""Prints what the integrations that the tests load want, by their manifests. Home Assistant's own Python runs it."""

import json
from pathlib import Path

import homeassistant
from homeassistant import bootstrap
from homeassistant.const import BASE_PLATFORMS

COMPONENTS = Path(homeassistant.__file__).parent / "components"
LOADED = {
    "mqtt",
    "recorder",
    "hassio",  # never set up here; others import it
    *bootstrap.CORE_INTEGRATIONS,
    *bootstrap.LOGGING_AND_HTTP_DEPS_INTEGRATIONS,
    *bootstrap.DEFAULT_INTEGRATIONS,
    *BASE_PLATFORMS,
}


def requirements() -> set[str]:
    ahead, seen, found = set(LOADED), set(), set()
    while ahead:
        name = ahead.pop()
        seen.add(name)
        manifest = json.loads((COMPONENTS / name / "manifest.json").read_text())
        found.update(manifest.get("requirements", ()))
        ahead.update(set(manifest.get("dependencies", ())) - seen)
    return found


if __name__ == "__main__":
    print(*sorted(requirements()), sep="\n")
