"""Captioner plugin ``openai``: any endpoint that speaks the OpenAI-compatible chat API."""

from plugins.captioners.openai.captioner import OpenAI
from plugins.captioners.openai.config import OpenAIConfig

__all__ = ["OpenAI", "OpenAIConfig"]
