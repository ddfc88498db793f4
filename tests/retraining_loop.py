"""A loop small enough for a test: a random encoder of two layers, few pages, a gate that a tiny model can pass.

As a program: ``python tests/retraining_loop.py FOLDER`` kills a run at the end of every step in turn, before its
record is written, and says after each what is in use; the last run is let through.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from dataclasses import replace
from pathlib import Path

from annotator.dataset import LabelledPage, read_pages, write_pages
from annotator.gatefile import GateFile, Limits, Pin, gate_sets, write_gate
from annotator.records import Label

ROOT = Path(__file__).resolve().parent.parent
LOOSE = Limits(low=-1.0, point=-1.0, label=-1.0, ece=1.0, slower=1000.0)


def make(folder: Path, *, train: int = 6, gate: int = 2, limits: Limits = LOOSE) -> Path:
    """Lay down data, gate and base in ``folder``."""
    from toy import save_toy_base  # noqa: PLC0415 -- torch

    (folder / "labels").mkdir(parents=True)
    write_pages(_plain(ROOT / "labels" / "train.jsonl", train), folder / "train.jsonl")
    write_pages(_plain(ROOT / "labels" / "gate.jsonl", gate), folder / "labels" / "gate.jsonl")
    path = folder / "labels" / "gate.json"
    (found,) = gate_sets(path, GateFile(), known=False)
    pin = Pin(digest=found.digest, pages=gate, segments=1, macro_f1=0.0, labels={}, ece=1.0, file="gate.jsonl")
    write_gate(path, GateFile(limits=limits, sets={found.name: pin}))
    save_toy_base(folder / "base")
    return folder


def _plain(path: Path, count: int) -> list[LabelledPage]:
    """Return short pages with the most reported claims: what a model that has learnt next to nothing gets right."""
    short = [page for page in read_pages(path) if len(page.article.text) < 2600]

    def share(page: LabelledPage) -> float:
        return sum(seg.label is Label.REPORTED_CLAIM for seg in page.segments) / len(page.segments)

    return sorted(short, key=lambda page: -share(page))[:count]


def settings(folder: Path, **changes):
    """Return the settings of a loop over what ``make`` laid down."""
    from annotator.retraining.steps import Settings  # noqa: PLC0415 -- torch
    from annotator.training.fit import Hardware, TrainConfig  # noqa: PLC0415
    from annotator.training.recipe import Recipe  # noqa: PLC0415
    from annotator.windows import WindowConfig  # noqa: PLC0415

    config = TrainConfig(epochs=1, pack_tokens=512, windows=WindowConfig(max_tokens=256, context_tokens=32))
    recipe = Recipe(base=str(folder / "base"), config=config, folds=2, quantisation="none")
    values = {
        "workspace": folder / "loop", "data": (folder / "train.jsonl",), "models": folder / "models",
        "gate": folder / "labels" / "gate.json", "recipe": recipe, "resamples": 100,
        "hardware": Hardware(device="cpu", bf16=False),
    }  # fmt: skip
    return Settings(**values | changes)


def relabelled(page: LabelledPage, label: Label) -> LabelledPage:
    """Return the page with every segment called ``label``."""
    segments = [replace(seg, label=label, attribution=None, unverified=None) for seg in page.segments]
    return replace(page, segments=tuple(segments))


def _killed_at(step: str, folder: Path) -> None:
    from annotator.retraining import run  # noqa: PLC0415

    original = run.STEPS[step]

    def cut(state):
        original(state)
        os.kill(os.getpid(), signal.SIGKILL)

    run.STEPS[step] = cut
    run.retrain(settings(folder))


def main() -> int:
    """Kill, look, go on; print one JSON line a run."""
    import torch  # noqa: PLC0415

    from annotator.retraining import run  # noqa: PLC0415

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    folder = Path(sys.argv[1])
    # Forked before anything has run: a fresh process each, without importing torch each time.
    for step in [name for name in run.STEPS if name != "predict"]:
        child = os.fork()
        if not child:
            _killed_at(step, folder)
            os._exit(1)
        status = os.waitpid(child, 0)[1]
        current = folder / "models" / "CURRENT"
        use = current.read_text(encoding="utf-8").strip() if current.exists() else None
        line = {"step": step, "killed": os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, "use": use}
        print(json.dumps(line), flush=True)  # noqa: T201 -- a program here
    outcome = run.retrain(settings(folder))
    print(json.dumps({"steps": outcome.steps, "version": outcome.version, "passed": outcome.passed}))  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
