"""Fine-tune the segment tagger and write a model version, from labelled pages to a calibrated, checked ONNX graph.

    python scripts/train.py --data labels/train.jsonl --gate labels/gate.jsonl --run runs/mine

Two trainings: one that leaves out a fold of whole outlets of the last --data file, whose held-out logits give
temperature and review threshold, and one on all the pages, which is exported. A run that was cut goes on where it
stood when the same command is given again. Pages of outlets that stand in a --gate file never train.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from dataclasses import asdict, fields, replace
from pathlib import Path

from annotator.errors import AnnotatorError

try:
    import annotator.training  # noqa: F401 - says what is missing
except AnnotatorError as missing:
    sys.exit(f"error: {missing}")

import numpy as np
from safetensors.torch import load_file
from transformers.utils import logging as transformers_logging

from annotator.dataset import LabelledPage, leakage, outlet_families, read_pages, split_by_outlet
from annotator.registry import Calibration, promote
from annotator.training.base import load_base
from annotator.training.examples import Augmentation
from annotator.training.fit import Hardware, TrainConfig, fit, has_bf16, pick_device
from annotator.training.model import LossWeights, SegmentTagger
from annotator.training.publish import HeldOut, calibrate, held_out, publish
from annotator.windows import WindowConfig

GROUPS = {"windows": WindowConfig, "augmentation": Augmentation, "loss": LossWeights}


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        required=True,
        help="labelled pages to train on; put those most like the use last",
    )
    parser.add_argument("--gate", type=Path, nargs="*", default=[], help="pages whose outlets never train; for parity")
    parser.add_argument("--base", default="models/base", help="folder of a base encoder, or a hub id")
    parser.add_argument("--run", type=Path, required=True, help="folder for checkpoints, logits and the log of the run")
    parser.add_argument("--models", type=Path, default=Path("models"), help="registry that gets the version")
    parser.add_argument("--promote", action="store_true", help="put the version in use")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE",
                        help="settings of TrainConfig, or windows.NAME, augmentation.NAME, loss.NAME")  # fmt: skip
    parser.add_argument("--no-augmentation", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], help="more than one: weights are averaged")
    parser.add_argument("--warm-start", type=Path, help="model.safetensors of an earlier run")
    parser.add_argument("--folds", type=int, default=5, help="folds of outlets, one held out for calibration; 0: none")
    parser.add_argument("--quantisation", choices=["int8", "none"], default="int8")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    parser.add_argument("--compile", action="store_true", help="compile the encoder (needs a C++ compiler)")
    parser.add_argument("--no-resume", action="store_true", help="start again even where checkpoints stand")
    return parser.parse_args()


def settings(given: list[str], *, augment: bool) -> TrainConfig:
    """Build the configuration from NAME=VALUE pairs.

    Raises:
        AnnotatorError: an unknown name or a value of the wrong kind.
    """
    config = TrainConfig() if augment else TrainConfig(augmentation=None)
    for item in given:
        name, _, raw = item.partition("=")
        group, _, inner = name.rpartition(".")
        target = config if not group else getattr(config, group, None)
        if target is None or (group and group not in GROUPS) or (inner or name) not in {f.name for f in fields(target)}:
            raise AnnotatorError(f"--set {item}: no such setting")
        try:
            value = json.loads(raw.lower())
        except ValueError as error:
            raise AnnotatorError(f"--set {item}: {raw!r} is not a number, true or false") from error
        changed = replace(target, **{inner or name: value})
        config = replace(config, **{group: changed}) if group else changed
    return config


def without_gate_outlets(pages: list[LabelledPage], gate: list[LabelledPage]) -> list[LabelledPage]:
    """Return the pages whose outlet is on no gate page and that are not marked ``gate`` themselves."""
    families = outlet_families(page.article.outlet for page in (*pages, *gate))
    closed = {families[page.article.outlet] for page in gate}
    return [p for p in pages if p.split != "gate" and families[p.article.outlet] not in closed]


def train_once(pages: list[LabelledPage], config: TrainConfig, folder: Path, args: argparse.Namespace) -> SegmentTagger:
    """Train every seed (or read its finished weights) and return the network with their mean."""
    hardware = Hardware(device=args.device, compile=args.compile)
    states = []
    for seed in args.seeds:
        run = folder / f"seed-{seed}"
        if args.no_resume or not (run / "model.safetensors").is_file():
            started = time.monotonic()
            fit(pages, load_base(args.base), replace(config, seed=seed), run, hardware=hardware,
                resume=not args.no_resume, warm_start=args.warm_start)  # fmt: skip
            print(f"{run}: {len(pages)} pages, {time.monotonic() - started:.0f} s", file=sys.stderr)
        states.append(load_file(run / "model.safetensors"))
    model = SegmentTagger(load_base(args.base).encoder, config.loss)
    model.load_state_dict({name: sum(state[name] for state in states) / len(states) for name in states[0]})
    return model.eval()


def calibration(pages: list[LabelledPage], config: TrainConfig, args: argparse.Namespace) -> tuple[Calibration, int]:
    """Return temperature and threshold from a fold of outlets that a training of its own leaves out, and its size."""
    if not args.folds:
        return Calibration(), 0
    ids = {page.article.article_id for page in read_pages(args.data[-1])}
    folds = split_by_outlet([p for p in pages if p.article.article_id in ids], folds=args.folds, seed=7)
    aside = {page.article.article_id for page in folds[0]}
    path = args.run / "fold" / "held-out.npz"
    if args.no_resume or not path.is_file():
        model = train_once([p for p in pages if p.article.article_id not in aside], config, args.run / "fold", args)
        sample = held_out(
            model, folds[0], load_base(args.base), config.windows, bf16=has_bf16(pick_device(args.device))
        )
        np.savez(path, logits=sample.logits, truth=sample.truth)
    stored = np.load(path)
    return calibrate(HeldOut(logits=stored["logits"], truth=stored["truth"])), len(stored["truth"])


def main() -> int:
    """Train, calibrate, export; print the version."""
    args = arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", stream=sys.stderr)
    transformers_logging.set_verbosity_warning()
    try:
        config = settings(args.set, augment=not args.no_augmentation)
        gate = read_pages(*args.gate) if args.gate else []
        read = read_pages(*args.data)
        pages = without_gate_outlets(read, gate)
        print(f"{len(pages)} pages to train on; {len(read) - len(pages)} of gate outlets left out", file=sys.stderr)
        for line in leakage(pages, gate):
            print(f"leakage: {line}", file=sys.stderr)
            return 1
        args.run.mkdir(parents=True, exist_ok=True)
        (args.run / "config.json").write_text(json.dumps(asdict(config), indent=2) + "\n", encoding="utf-8")
        fitted, count = calibration(pages, config, args)
        model = train_once(pages, config, args.run / "full", args)
        version = publish(
            model, load_base(args.base), config, fitted, args.models,
            parity_pages=gate or pages[::10], train_pages=pages, quantisation=args.quantisation,
            details={"seeds": args.seeds, "calibration_segments": count, "data": [path.name for path in args.data]},
        )  # fmt: skip
        if args.promote:
            promote(args.models, version)
    except AnnotatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(version)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
