"""The captioner plugin: a model of Hugging Face's Transformers, in a process of its own."""

from __future__ import annotations

from agent.plugin import Caption, Captioner, CaptionRequest, CaptionUnavailable, Detail, Failure, Geometry, ModelView
from plugins.captioners.transformers.config import TransformersConfig


class Transformers(Captioner[TransformersConfig]):
    """Captions with PyTorch, in a process that can crash or leak without touching the agent."""

    @property
    def model(self) -> str:
        return self.config.model

    def view(self, detail: Detail = Detail.MEDIUM) -> ModelView:  # noqa: ARG002
        return ModelView(Geometry.SQUARE, 512)

    async def caption(self, request: CaptionRequest) -> Caption:
        raise CaptionUnavailable(Failure.ENGINE, f"{self.model} can't be asked about {request.camera} yet.")
