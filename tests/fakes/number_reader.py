"""A captioner plugin that reads the number burned into a picture: for tests that measure how old pictures are.

Its caption is ``<number> <CLOCK_MONOTONIC>``: what it saw, and when; the number is ``damaged`` where none can be read.
Copy this file into a ``plugins_dir`` (``use: number_reader``), with the checkout on the service's PYTHONPATH.
"""

from __future__ import annotations

import io
import time

import numpy as np
from PIL import Image

from agent.plugin import Caption, Captioner, CaptionRequest, Detail, Geometry, ModelView, PluginConfig
from tests.fakes.clips import read_number


class NumberReader(Captioner[PluginConfig]):
    def view(self, detail: Detail = Detail.MEDIUM) -> ModelView:
        return ModelView(Geometry.ASPECT, 320)

    async def caption(self, request: CaptionRequest) -> Caption:
        seen = time.monotonic()
        number = read_number(np.asarray(Image.open(io.BytesIO(request.picture))))
        text = f"{'damaged' if number is None else number} {seen:.3f}"
        return Caption(text, truncated=False, tokens=2, image_ms=0, generate_ms=0, model="number reader")
