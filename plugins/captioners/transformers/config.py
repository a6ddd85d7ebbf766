"""What config.yaml may say of the ``transformers`` captioner."""

from __future__ import annotations

from agent.plugin import PluginConfig


class TransformersConfig(PluginConfig):
    """A model of Hugging Face's Transformers, in a process of its own."""

    model: str = "smolvlm-500m"
    """A model by name."""
