"""What config.yaml says: finding it, reading it, every fault with its line, and the settings that come of it."""

from agent.config.faults import ConfigFaults, Fault
from agent.config.grammar import (
    DEFAULT,
    CameraSettings,
    CaptionerSettings,
    Config,
    KeepSettings,
    OutputSettings,
    PluginChoice,
    WebSettings,
)
from agent.config.loader import load, parse
from agent.config.places import find
from agent.config.schema import json_schema
from agent.units import duration_text, parse_duration

__all__ = [
    "DEFAULT",
    "CameraSettings",
    "CaptionerSettings",
    "Config",
    "ConfigFaults",
    "Fault",
    "KeepSettings",
    "OutputSettings",
    "PluginChoice",
    "WebSettings",
    "duration_text",
    "find",
    "json_schema",
    "load",
    "parse",
    "parse_duration",
]
