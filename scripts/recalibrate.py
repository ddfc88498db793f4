"""Fit a version's calibration and review threshold again, on more held-out pages: a new version of the same weights.

    python scripts/recalibrate.py --held-out runs/first/fold-*/held-out.npz --pages runs/unseen.jsonl [--promote]

`--held-out` are logits of folds, which scripts/train.py leaves; `--pages` are labelled pages that no weight of the
version was trained on, whose logits its own graph gives. Each file is a source: a beta map is taken only where it
carries from the others to each (docs/retraining.md). Pages of outlets that stand in a `--gate` file are refused: they
measure, and fit nothing. Prints the version.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from annotator.errors import AnnotatorError, InputError

try:
    import annotator.training  # noqa: F401 - says what is missing
except AnnotatorError as missing:
    sys.exit(f"error: {missing}")

from annotator.classifier import SegmentClassifier
from annotator.dataset import digest, read_pages
from annotator.registry import model_path, models_folder, promote, refuse_package
from annotator.training.calibrate import RISK, joined, stored
from annotator.training.publish import recalibrate, unseen
from annotator.training.recipe import without_gate_outlets


def main() -> int:
    """Fit, write, perhaps promote."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, help="registry (default: the one in use)")
    parser.add_argument("--model", help="version (default: the current one)")
    parser.add_argument("--held-out", type=Path, nargs="*", default=[], help="held-out.npz of folds")
    parser.add_argument("--pages", type=Path, nargs="*", default=[], help="labelled pages that trained nothing")
    parser.add_argument("--gate", type=Path, nargs="*", default=[], help="pages whose outlets fit nothing")
    parser.add_argument("--risk", type=float, default=RISK)
    parser.add_argument("--promote", action="store_true", help="put the version in use")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        if not args.held_out and not args.pages:
            raise InputError("nothing to fit on: name --held-out, --pages or both")
        models = models_folder(args.models)
        refuse_package(models)
        folder = model_path(models, args.model)
        samples, seen = [stored(path) for path in args.held_out], [f"{path.parent.name}" for path in args.held_out]
        gate = read_pages(*args.gate) if args.gate else []
        for path in args.pages:
            pages = read_pages(path)
            if len(without_gate_outlets(pages, gate)) < len(pages):
                raise InputError(f"{path}: holds pages of gate outlets: leave them out")
            samples.append(unseen(SegmentClassifier(folder), pages))
            seen.append(f"{path.name} ({len(pages)} pages, {digest(pages)[:12]})")
        version = recalibrate(models, folder, joined(samples), risk=args.risk, seen=seen)
        if args.promote:
            promote(models, version)
    except AnnotatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(version)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
