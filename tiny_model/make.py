"""From nothing to two GGUF files: draw, train in three stages, export, compare with PyTorch, evaluate.

    python -m tiny_model.make [--minutes 72] [--scenes 80000]

Everything is written to a folder for these numbers in tiny_model/work/. A set or a stage that is there already is not
made again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

from tiny_model.batches import HELD_BACK, Encoder, Mix
from tiny_model.evaluate import measure
from tiny_model.export import export
from tiny_model.model import Shape, TinyModel
from tiny_model.parity import compare
from tiny_model.pictures import Drawings, draw_set
from tiny_model.tokenizer import SHIPPED, load
from tiny_model.train import Material, Stage, Trainer

WORK = Path(__file__).with_name("work")
MINUTES = 72.0
SCENES = 80_000


def stages(minutes: float) -> list[Stage]:
    """The pictures alone; then pictures and words; then wordy prompts and the scaling of older llama.cpp builds."""
    share = minutes / MINUTES
    return [
        Stage("vision", 9 * share, 1.5e-3, Mix(dialogs_a_scene=0)),
        Stage("joint", 45 * share, 1.5e-3, Mix()),
        Stage("final", 18 * share, 8e-4, Mix(scenes=40, old_builds=0.35, wordy=0.25)),
    ]


def draw_all(work: Path, scenes: int) -> Material:
    sets = {"train": (scenes, 100, False), "check": (1000, 999, False)}
    sets["old_builds"] = (max(scenes * 22 // 80, 2 * HELD_BACK), 300, True)
    with ProcessPoolExecutor(2) as workers:
        for name, drawing in [(name, workers.submit(_draw, work / name, *what)) for name, what in sets.items()]:
            print(f"{name}: {drawing.result()} scenes", flush=True)
    return Material(**{name: Drawings.load(work / name) for name in sets})


def _draw(folder: Path, count: int, seed: int, old_builds: bool) -> int:
    if not (folder / "scenes.json").exists():  # which is written last
        half = folder.with_name(folder.name + ".part")
        shutil.rmtree(half, ignore_errors=True)
        draw_set(half, count, seed, old_builds=old_builds)
        half.rename(folder)
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of training; 3 show that every stage runs")
    parser.add_argument("--scenes", type=int, help=f"in the training set; {SCENES}, less for fewer minutes")
    parser.add_argument("--work", type=Path, default=WORK)
    asked = parser.parse_args()
    scenes = asked.scenes or max(2000, min(SCENES, round(SCENES * asked.minutes / MINUTES)))
    work: Path = asked.work / f"{asked.minutes:g}-minutes-{scenes}-scenes"  # a short run's parts stay out of a long one
    material = draw_all(work, scenes)
    torch.set_num_threads(min(2, os.cpu_count() or 1))  # more bring nothing for matrices this small
    torch.manual_seed(0)
    tokenizer = load()
    shape = Shape(vocabulary=tokenizer.get_vocab_size())
    encoder = Encoder(tokenizer, shape)
    model = TinyModel(shape)
    for number, stage in enumerate(stages(asked.minutes)):
        saved = work / f"{stage.name}.pt"
        if saved.exists():
            model = TinyModel.load(saved)
            continue
        Trainer(model, encoder, material, seed=number).run(stage, work / "unfinished.pt")
        (work / "unfinished.pt").rename(saved)
    text, mmproj = export(model, SHIPPED, work / "gguf")
    parity = compare(model, encoder, text, mmproj, work / "server.log")
    print(parity, flush=True)
    report = measure(text, mmproj, work / "server.log", 200)
    (work / "evaluation.json").write_text(json.dumps(report, indent=1))
    print(json.dumps(report, indent=1))
    print(f"The model is in {work / 'gguf'}; to ship it, copy both files to plugins/captioners/llama_server/tiny/.")
    if not parity.holds:
        raise SystemExit(
            "The server does not compute what PyTorch computes: see the line above that begins with Parity."
        )


if __name__ == "__main__":
    main()
