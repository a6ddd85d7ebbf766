"""``body``: Jinja2, Home Assistant's own template language, in a sandbox. What it may name is known beforehand."""

from __future__ import annotations

from difflib import get_close_matches

import jinja2
from jinja2 import meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from agent.plugin import Observation

NAMES = frozenset({*Observation.model_fields, "observation", "picture_base64"})

_sandbox = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined, autoescape=False)
_sandbox.policies["json.dumps_kwargs"] = {"sort_keys": False, "ensure_ascii": False}


def compiled(text: str) -> jinja2.Template:
    """Raises ValueError: where it is wrong, and what would be right."""
    try:
        tree = _sandbox.parse(text)
        template = _sandbox.from_string(text)
    except jinja2.TemplateSyntaxError as error:
        raise ValueError(f"line {error.lineno} of the template: {error.message}") from None
    except jinja2.TemplateError as error:  # an unknown filter, say
        raise ValueError(f"the template: {error.message}") from None
    unknown = meta.find_undeclared_variables(tree) - NAMES - set(_sandbox.globals)
    for name in sorted(unknown):
        close = get_close_matches(name, NAMES, 1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(NAMES))}"
        raise ValueError(f"the template names {name}, which is not there; {hint}")
    return template
