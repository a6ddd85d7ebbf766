"""Captioner plugin ``transformers``: models of Hugging Face's Transformers, in a process of their own."""

from plugins.captioners.transformers.captioner import Transformers
from plugins.captioners.transformers.config import TransformersConfig

__all__ = ["Transformers", "TransformersConfig"]
