"""Fine-tune the segment tagger and write a model version, from labelled pages to a calibrated, checked ONNX graph.

    python scripts/train.py --data labels/train.jsonl --gate labels/gate.jsonl --run runs/mine

Two trainings: one that leaves out a fold of whole outlets of the last --data file, whose held-out logits give the
calibration and the review threshold (--held-out-folds: more of them, each left out in turn), and one on all the pages,
which is exported. A run that was cut goes on where it
stood when the same command is given again. Pages of outlets that stand in a --gate file never train.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path

from annotator.errors import AnnotatorError
from annotator.merging import SegmentWeights, weighted

try:
    import annotator.training  # noqa: F401 - says what is missing
except AnnotatorError as missing:
    sys.exit(f"error: {missing}")

from transformers.utils import logging as transformers_logging

from annotator.dataset import leakage, read_pages
from annotator.registry import Calibration, promote
from annotator.retraining.journal import files_digest
from annotator.training.base import load_base
from annotator.training.calibrate import RISK, facts, fit_calibration
from annotator.training.fit import Hardware
from annotator.training.publish import publish
from annotator.training.recipe import Recipe, hold_out, start_files, train, train_config, without_gate_outlets


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
    parser.add_argument("--warm-start", type=Path, help="weights of an earlier run, or its folder, for the folds too")
    parser.add_argument("--folds", type=int, default=5, help="folds of outlets for the calibration; 0: none")
    parser.add_argument("--held-out-folds", type=int, default=1,
                        help="how many of them are held out in turn, each by a training of its own")  # fmt: skip
    parser.add_argument("--risk", type=float, default=RISK,
                        help="error rate aimed at among segments that are not marked for review")  # fmt: skip
    parser.add_argument("--quantisation", choices=["int8", "none"], default="int8")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    parser.add_argument("--compile", action="store_true", help="compile the encoder (needs a C++ compiler)")
    parser.add_argument("--no-resume", action="store_true", help="start again even where checkpoints stand")
    return parser.parse_args()


def main() -> int:
    """Train, calibrate, export; print the version."""
    args = arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", stream=sys.stderr)
    transformers_logging.set_verbosity_warning()
    try:
        config = train_config(args.set, augment=not args.no_augmentation)
        gate = read_pages(*args.gate) if args.gate else []
        read = read_pages(*args.data)
        pages = [weighted(page, SegmentWeights()) for page in without_gate_outlets(read, gate)]
        print(f"{len(pages)} pages to train on; {len(read) - len(pages)} of gate outlets left out", file=sys.stderr)
        for line in leakage(pages, gate):
            print(f"leakage: {line}", file=sys.stderr)
            return 1
        args.run.mkdir(parents=True, exist_ok=True)
        (args.run / "config.json").write_text(json.dumps(asdict(config), indent=2) + "\n", encoding="utf-8")
        recipe = Recipe(
            base=args.base, config=config, seeds=tuple(args.seeds), folds=args.folds, held_out=args.held_out_folds,
            risk=args.risk, quantisation=args.quantisation, warm_start=args.warm_start,
        )  # fmt: skip
        how = {"hardware": Hardware(device=args.device, compile=args.compile), "resume": not args.no_resume}
        ids = {page.article.article_id for page in read_pages(args.data[-1])}
        sample = hold_out(pages, [p for p in pages if p.article.article_id in ids], recipe, args.run, **how)
        fitted = None if sample is None else fit_calibration(sample, risk=recipe.risk)
        model = train(pages, recipe, args.run / "full", **how)
        version = publish(
            model, load_base(args.base), config, Calibration() if fitted is None else fitted.calibration, args.models,
            parity_pages=gate or pages[::10], train_pages=pages, quantisation=args.quantisation,
            details={
                "seeds": args.seeds, "data": [path.name for path in args.data],
                "warm_start": files_digest(start_files(recipe)) if args.warm_start else None, **facts(sample, fitted),
            },
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
