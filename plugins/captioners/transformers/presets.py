"""The models worth a name, and what each wants to see."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.plugin import Detail, Geometry, ModelView


@dataclass(frozen=True, slots=True)
class Hosted:
    """A repository on Hugging Face, and which state of it."""

    repo: str
    revision: str | None = None
    """None: its newest."""
    remote_code: bool = False
    """The model brings Python code of its own, which is run."""

    def __str__(self) -> str:
        return self.repo


@dataclass(frozen=True, slots=True)
class Model:
    """What is to be loaded, and how it wants to be asked."""

    name: str
    origin: Path | Hosted
    geometry: Geometry = Geometry.SQUARE
    edge: int = 512
    """One tile's, in pixels."""

    def view(self, detail: Detail) -> ModelView:
        """One tile, or for high detail two by two of them (and, made of those, the overview)."""
        return ModelView(self.geometry, self.edge * 2 if detail is Detail.HIGH else self.edge)


PRESETS = {
    model.name: model
    for model in (
        Model("smolvlm-500m", Hosted("HuggingFaceTB/SmolVLM-500M-Instruct")),
        Model("smolvlm-256m", Hosted("HuggingFaceTB/SmolVLM-256M-Instruct")),
        Model("smolvlm2-500m", Hosted("HuggingFaceTB/SmolVLM2-500M-Video-Instruct")),
        Model("smolvlm2-2.2b", Hosted("HuggingFaceTB/SmolVLM2-2.2B-Instruct"), edge=384),
        # Its code is fixed to one release: what somebody puts into the repository later is not run here unasked.
        Model(
            "moondream2",
            Hosted("vikhyatk/moondream2", "2025-06-21", remote_code=True),
            geometry=Geometry.ASPECT,
            edge=378,
        ),
    )
}
