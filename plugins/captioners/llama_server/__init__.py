"""The managed engine: a llama-server that camscribe finds, starts, watches and asks by itself."""

from plugins.captioners.llama_server.captioner import LlamaServer
from plugins.captioners.llama_server.config import LlamaServerConfig

__all__ = ["LlamaServer", "LlamaServerConfig"]
