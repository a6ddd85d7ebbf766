from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agent.config import json_schema
from agent.config.docs import built_in, markdown
from agent.registry import Registry
from tests.agent.config.household import REGISTRY

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def _resolved(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    return schema["$defs"][part["$ref"].rsplit("/", 1)[1]] | part if "$ref" in part else part


def _references(part: Any) -> set[str]:
    if isinstance(part, dict):
        own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
        return own.union(*(_references(value) for value in part.values()))
    return set().union(*map(_references, part)) if isinstance(part, list) else set()


def test_the_schema_has_every_section_and_every_plugins_options() -> None:
    schema = json_schema(REGISTRY)
    assert set(schema["properties"]) == {
        *("model", "captioners", "cameras", "outputs", "web", "keep", "reload", "controls", "data_dir", "plugins_dir"),
    }
    assert schema["required"] == ["cameras"]
    assert schema["additionalProperties"] is False
    camera = _resolved(schema, schema["properties"]["cameras"]["additionalProperties"])
    assert camera["properties"]["every"]["anyOf"][0]["pattern"]
    assert camera["properties"]["max_age"]["default"] == "5s"
    short, *long = camera["properties"]["source"]["anyOf"]
    assert "rtsps" in short["pattern"]
    rtsp = next(_resolved(schema, form) for form in long if form["$ref"].endswith("source_rtsp"))
    assert rtsp["properties"]["use"]["const"] == "rtsp"
    assert rtsp["properties"]["url"]["format"] == "password"
    assert set(rtsp["required"]) == {"use"}
    mqtt = _resolved(schema, {"$ref": "#/$defs/output_mqtt"})
    assert {"backlog", "expire", "timeout", "cameras", "host", "password", "tls", "use"} == (
        set(mqtt["properties"]) - {"port", "username", "keepalive"}
    )
    assert mqtt["properties"]["timeout"]["default"] == "30s", "camscribe's own key, not the plugin's of the same name"


def test_a_question_is_a_text_or_one_of_four_mappings_that_say_their_type() -> None:
    schema = json_schema(REGISTRY)
    camera = _resolved(schema, schema["properties"]["cameras"]["additionalProperties"])
    short, *long = camera["properties"]["questions"]["additionalProperties"]["anyOf"]
    assert (short["type"], short["minLength"]) == ("string", 1)
    forms = [_resolved(schema, form) for form in long]
    assert [form["properties"]["type"]["const"] for form in forms] == ["boolean", "number", "choice", "text"]
    assert all({"type", "ask"} <= set(form["required"]) for form in forms)
    page = markdown(REGISTRY)
    assert all(f"### `type: {name}`" in page for name in ("boolean", "number", "choice", "text"))


def test_the_schema_holds_together_and_is_json() -> None:
    for registry in (REGISTRY, Registry.discover(None), Registry()):
        schema = json_schema(registry)
        assert json.loads(json.dumps(schema)) == schema
        assert {reference.rsplit("/", 1)[1] for reference in _references(schema)} <= set(schema["$defs"])


def test_every_key_is_described() -> None:
    schema = json_schema(Registry.discover(None))
    parts = [schema, *schema["$defs"].values()]
    bare = [
        (part.get("title"), key)
        for part in parts
        for key, value in part.get("properties", {}).items()
        if "description" not in _resolved(schema, value)
    ]
    assert not bare


def test_the_page_of_the_documentation_is_not_stale() -> None:
    assert PAGE.read_text() == markdown(built_in()), "run: python -m agent.config.docs > docs/configuration.md"


def test_the_page_names_every_key_and_no_table_is_torn() -> None:
    page = markdown(REGISTRY)
    for word in ("`every`", "`captioner`", "`backlog`", "`key_password`", "`days`", "`rtsps:`", "CAMSCRIBE_LOG_LEVEL"):
        assert word.replace("`key_password`", "`tls.key_password`") in page
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert all(row.replace("\\|", "").count("|") in (3, 5) for row in rows)
    assert "no description" not in page
