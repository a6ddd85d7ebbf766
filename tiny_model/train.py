"""One stage of the training, for a given time on whatever CPU there is."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tiny_model.batches import HELD_BACK, NOT_TAUGHT, Batch, Dialogs, Encoder, Maker, Mix, as_input, made_ahead
from tiny_model.dialog import random_dialog
from tiny_model.model import TinyModel
from tiny_model.pictures import OLD_OVERVIEW, OLD_TILE, STRETCHED, Drawings

DECISION_WEIGHT = 5.0
"""The words that carry a decision weigh more than the words that are only grammar."""
OPPOSITES = {"yes": "no", "no": "yes", "Ġtrue": "Ġfalse", "Ġfalse": "Ġtrue"}
HELPER_SHARE = 0.3
WARM_UP = 150
REPORT_SECONDS = 30
CHECK_SECONDS = 240


@dataclass(frozen=True, slots=True)
class Stage:
    name: str
    minutes: float
    rate: float
    mix: Mix


@dataclass(frozen=True, slots=True)
class Material:
    train: Drawings
    check: Drawings
    old_builds: Drawings | None = None


class Trainer:
    def __init__(self, model: TinyModel, encoder: Encoder, material: Material, seed: int = 0) -> None:
        self.model = model
        self._encoder = encoder
        self._material = material
        self._seed = seed
        ids = {word: encoder.tokenizer.token_to_id(word) for word in OPPOSITES}
        assert None not in ids.values(), f"a decision must be one token: {ids}"
        self._weights = torch.ones(model.shape.vocabulary)
        self._opposite = torch.arange(model.shape.vocabulary)
        for word, other in OPPOSITES.items():
            self._weights[ids[word]] = DECISION_WEIGHT
            self._opposite[ids[word]] = ids[other]

    def run(self, stage: Stage, out: Path) -> None:
        """The learning rate falls with the time that has passed; the model is saved at each check and at the end."""
        maker = Maker(self._encoder, self._material.train, self._material.old_builds, stage.mix, self._seed)
        optimizer = self._optimizer(stage.rate)
        clock = _Clock(stage)
        losses: dict[str, float] = {}
        self.model.train()
        with made_ahead(maker) as ready:
            while clock.share < 1:
                for group in optimizer.param_groups:
                    group["lr"] = stage.rate * clock.slope
                loss, parts = self._loss(ready.get())
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
                optimizer.step()
                losses = {name: 0.97 * losses.get(name, part) + 0.03 * part for name, part in parts.items()}
                clock.step(losses)
                if clock.check_is_due():
                    print("   check", self.check(), flush=True)
                    self.model.save(out)
        print(f"   {stage.name} ends", self.check(), flush=True)
        self.model.save(out)

    def _optimizer(self, rate: float) -> torch.optim.Optimizer:
        named = list(self.model.named_parameters())
        decays = {name for name, p in named if p.ndim >= 2 and "embedding" not in name and "position" not in name}
        groups = [
            {"params": [p for name, p in named if name in decays], "weight_decay": 0.05},
            {"params": [p for name, p in named if name not in decays], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))

    def _loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        with torch.autocast("cpu", torch.bfloat16):
            features = self.model.vision.features(batch.pictures)
        helper = self._helper_loss(features, batch)
        if batch.dialogs is None:
            return helper, {"helpers": helper.item()}
        with torch.autocast("cpu", torch.bfloat16):
            words, _, _ = self._word_loss(self.model.vision.tokens(features), batch.dialogs)
        return words + HELPER_SHARE * helper, {"words": words.item(), "helpers": helper.item()}

    def _helper_loss(self, features: Tensor, batch: Batch) -> Tensor:
        """What covers each patch (nothing weighs less), and the time of day: what made the training cheap."""
        overviews = features[: len(batch.times)]
        heads = self.model.helpers
        with torch.autocast("cpu", torch.bfloat16):
            answers = (heads.kind(overviews), batch.kinds), (heads.colour(overviews), batch.colours)
            times = heads.time(overviews.mean(1))
        weight = torch.where(batch.kinds > 0, 1.0, 0.25).flatten()
        loss = F.cross_entropy(times.float(), batch.times)
        for answer, truth in answers:
            each = F.cross_entropy(answer.float().flatten(0, 1), truth.flatten(), reduction="none")
            loss = loss + (each * weight).sum() / weight.sum()
        return loss

    def _word_loss(self, picture_tokens: Tensor, dialogs: Dialogs) -> tuple[Tensor, Tensor, Tensor]:
        """The loss, what is predicted at the places that are taught, and which those are."""
        slots = self.model.shape.picture_tokens
        place = (-1 - dialogs.tokens).clamp_min(0)
        overview_of = dialogs.overview_of[:, None]
        source = torch.where(place < slots, dialogs.tile_of[overview_of], overview_of)
        words = self.model.embedding(dialogs.tokens.clamp_min(0))
        seen = picture_tokens[source, place % slots].to(words.dtype)
        read = self.model.read(torch.where((dialogs.tokens < 0)[..., None], seen, words))
        taught = dialogs.targets != NOT_TAUGHT
        predicted = self.model.next_words(read[taught]).float()
        return F.cross_entropy(predicted, dialogs.targets[taught], weight=self._weights), predicted, taught

    @torch.no_grad()
    def check(self, count: int = 200) -> Mapping[str, float]:
        """Shares of right answers on scenes kept for this, with the words so far given."""
        self.model.eval()
        rng = random.Random(1)
        check = self._material.check
        count = min(count, len(check.scenes))
        with torch.autocast("cpu", torch.bfloat16):
            features = self.model.vision.features(as_input(check.pictures[:count, STRETCHED]))
            tokens = self.model.vision.tokens(features)
            heads = self.model.helpers
            guesses = heads.kind(features).argmax(-1), heads.colour(features).argmax(-1)
        truths = [torch.from_numpy(np.array(grid[:count])).flatten(1) for grid in (check.kinds, check.colours)]
        shown = truths[0] > 0
        results = {
            name: (guess[shown] == truth[shown]).float().mean().item()
            for name, guess, truth in zip(("patch kind", "patch colour"), guesses, truths, strict=True)
        }
        itself = list(range(count))
        for mode in ("caption", "yesno", "yesno_json", "json"):
            rows = [self._encoder.row(random_dialog(scene, rng, mode)) for scene in check.scenes[:count]]
            results[mode] = self._right(tokens, self._encoder.stack(rows, itself, itself), decisions="json" in mode)
        if self._material.old_builds:
            results["caption, older builds"] = self._check_old_builds(self._material.old_builds, rng)
        self.model.train()
        return {name: round(share, 3) for name, share in results.items()}

    def _check_old_builds(self, old: Drawings, rng: random.Random) -> float:
        last = slice(len(old.scenes) - HELD_BACK, len(old.scenes))
        rows = [self._encoder.row(random_dialog(scene, rng, "caption")) for scene in old.scenes[last]]
        dialogs = self._encoder.stack(rows, range(HELD_BACK), range(HELD_BACK, 2 * HELD_BACK))
        pictures = torch.cat([as_input(old.pictures[last, version]) for version in (OLD_OVERVIEW, OLD_TILE)])
        with torch.autocast("cpu", torch.bfloat16):
            tokens = self.model.vision.tokens(self.model.vision.features(pictures))
        return self._right(tokens, dialogs, decisions=False)

    def _right(self, tokens: Tensor, dialogs: Dialogs, *, decisions: bool) -> float:
        """The share of right answers; or of the decisions in them, where the likelier of true and false is right."""
        with torch.autocast("cpu", torch.bfloat16):
            _, predicted, taught = self._word_loss(tokens, dialogs)
        targets = dialogs.targets[taught]
        if decisions:
            at = self._opposite[targets] != targets
            right, wrong = predicted[at, targets[at]], predicted[at, self._opposite[targets[at]]]
            return (right > wrong).float().mean().item()
        right_word = torch.ones_like(dialogs.targets, dtype=torch.bool)
        right_word[taught] = predicted.argmax(-1) == targets
        return right_word.all(1).float().mean().item()


class _Clock:
    """A stage's time, and what it prints as it passes."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._began = self._reported = self._checked = time.monotonic()
        self._steps = self._reported_steps = 0

    @property
    def share(self) -> float:
        return (time.monotonic() - self._began) / (self._stage.minutes * 60)

    @property
    def slope(self) -> float:
        """Up in the first steps, then down along half a cosine."""
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, self.share)))
        return min(1.0, (self._steps + 1) / WARM_UP) * max(0.02, cosine)

    def step(self, losses: Mapping[str, float]) -> None:
        self._steps += 1
        now = time.monotonic()
        if now - self._reported > REPORT_SECONDS:
            pictures = (self._steps - self._reported_steps) * self._stage.mix.scenes / (now - self._reported)
            said = " ".join(f"{name} {loss:.3f}" for name, loss in losses.items())
            print(
                f"{self._stage.name} {self.share:4.0%} step {self._steps} {pictures:.0f} pictures/s {said}", flush=True
            )
            self._reported, self._reported_steps = now, self._steps

    def check_is_due(self) -> bool:
        due = time.monotonic() - self._checked > CHECK_SECONDS
        if due:
            self._checked = time.monotonic()
        return due
