"""Loads the model and serves it: the main thread computes, the others listen."""

from __future__ import annotations

import gc
import json
import os
import queue
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from plugins.captioners.transformers.worker.api import Server
from plugins.captioners.transformers.worker.job import Cancelled, Job, Refused
from plugins.captioners.transformers.worker.place import Unfit, choose_device, choose_dtype
from plugins.captioners.transformers.worker.smolvlm import KINDS

WRONG_CONFIG = 78
"""The exit status where a person has to change something (sysexits.h: EX_CONFIG)."""
RENEWED = 75
"""The exit status where the agent wanted it so (EX_TEMPFAIL)."""
READY = "computing on {device} in {dtype}, threads: {threads} (torch {torch}, transformers {transformers})\n"
"""The agent knows it by its beginning."""
BROKEN = 70
"""The exit status where nothing more can be computed in this process."""


def main(settings: dict[str, Any]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # even in the middle of native code
    signal.signal(signal.SIGUSR1, lambda *_: end(RENEWED, "asked to start afresh: the memory it holds has grown"))
    threading.Thread(target=end_with_parent, args=(os.getppid(),), daemon=True).start()
    server = Server(settings["socket"])
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    try:
        model, facts = load(settings)
    except Unfit as error:
        end(WRONG_CONFIG, str(error))
    except MemoryError:
        end(BROKEN, "There is not enough memory for this model.")
    except RuntimeError as error:
        what = "There is not enough memory for this model" if is_memory(error) else "The model can't be loaded"
        end(BROKEN, f"{what}: {first_line(error)}")
    sys.stderr.write(READY.format(**facts))
    server.open(facts, settings["patience"] or model.patience)
    work(model, server.jobs)


def load(settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    folder = Path(settings["folder"])
    kind = kind_of(folder, remote_code=settings["remote_code"])
    import torch  # noqa: PLC0415  seconds, so not before the config has been looked at
    import transformers  # noqa: PLC0415

    if settings["threads"]:
        torch.set_num_threads(settings["threads"])
    device = choose_device(torch, settings["device"])
    dtype = choose_dtype(torch, settings["dtype"], device)
    transformers.utils.logging.disable_progress_bar()
    try:
        model = kind(folder, device, dtype)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise Unfit(f"{folder} does not hold a model that can be loaded: {first_line(error)}") from error
    gc.collect()
    return model, {
        "modalities": {"vision": True},
        "device": device,
        "dtype": str(dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "picture_edge": model.picture_edge,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def kind_of(folder: Path, *, remote_code: bool) -> Any:
    """The class that can ask this checkpoint."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        name = config["model_type"]
    except (OSError, ValueError, KeyError) as error:
        raise Unfit(f"{folder} is no folder of a Transformers model: {first_line(error)}") from None
    if name in KINDS:
        from plugins.captioners.transformers.worker.smolvlm import SmolVLM  # noqa: PLC0415

        return SmolVLM
    if remote_code and "auto_map" in config:
        from plugins.captioners.transformers.worker.moondream import Moondream  # noqa: PLC0415

        return Moondream
    raise Unfit(
        f"The model in {folder} is of the kind '{name}', and this captioner knows {', '.join(KINDS)} and, as "
        "moondream2, Moondream. Many others work with llama_server."
    )


def work(model: Any, jobs: queue.Queue[Job]) -> None:
    while True:
        job = jobs.get()
        try:
            job.check()
            job.answer = model.ask(job)
        except Cancelled:
            job.fault = (503, "cancelled")
        except Refused as error:
            job.fault = (400, str(error))
        except (MemoryError, RuntimeError) as error:
            trouble(error, job)
        except Exception as error:
            job.fault = (500, first_line(error))
            job.done.set()
            raise
        finally:
            job.done.set()


def trouble(error: Exception, job: Job) -> None:
    """A graphics processor that has failed once fails for good; one out of memory may do for a smaller picture."""
    if is_memory(error):
        job.fault = (500, f"The memory ran out: {first_line(error)} Use a smaller model, or less detail.")
        import torch  # noqa: PLC0415

        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        sys.stderr.write(f"{job.fault[1]}\n")
        return
    end(BROKEN, f"PyTorch failed: {first_line(error)}")


def is_memory(error: Exception) -> bool:
    words = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in words or "can't allocate memory" in words


def first_line(error: Exception) -> str:
    """Of its words, at most 300 characters; its name where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def end(status: int, sentence: str) -> Any:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()
    os._exit(status)  # threads of native code may hold up an ordinary end


def end_with_parent(parent: int) -> None:
    """The guard ends us when the agent goes; this is for when somebody kills both."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)
