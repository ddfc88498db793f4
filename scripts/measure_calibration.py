"""What a calibration fitted on held-out pages is worth on gate pages: calibration error, and what is reviewed.

    python scripts/measure_calibration.py --held-out runs/shipped/fold-*/held-out.npz [--unseen runs/unseen.jsonl]
        --pages labels/gate.jsonl REAL/gate.jsonl [--risks 0.02 0.05 0.1] [--model VERSION] [--fast]

`held-out.npz` is what scripts/train.py leaves of each fold; `--unseen` are as for scripts/recalibrate.py. The
version's graph scores the gate pages on gold boundaries; calibrations are fitted on the held-out logits alone. Prints
Markdown tables, figures only.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from annotator.errors import AnnotatorError

try:
    import annotator.training  # noqa: F401 - says what is missing
except AnnotatorError as missing:
    sys.exit(f"error: {missing}")

from annotator.calibration import probabilities
from annotator.classifier import SegmentClassifier
from annotator.dataset import read_pages
from annotator.metrics import reliability
from annotator.records import LABELS
from annotator.registry import Calibration
from annotator.training.calibrate import beta_map, fit_calibration, joined, stored, temperature
from annotator.training.publish import labels_of, unseen


class Sample:
    """Logits [n, 4] and true labels [n] of pages."""

    def __init__(self, name: str, logits: np.ndarray, truth: np.ndarray) -> None:
        """Keep them."""
        self.name, self.logits, self.truth = name, logits, truth

    def stated(self, calibration: Calibration) -> tuple[np.ndarray, np.ndarray]:
        """Return the confidence in each label, and whether it is right."""
        values = probabilities(self.logits, calibration)
        return values.max(axis=1), values.argmax(axis=1) == self.truth


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--held-out", type=Path, nargs="+", required=True)
    parser.add_argument("--unseen", type=Path, nargs="*", default=[], help="pages that no weight was trained on")
    parser.add_argument("--pages", type=Path, nargs="+", required=True, help="to measure on")
    parser.add_argument("--risks", type=float, nargs="+", default=[0.02, 0.05, 0.1])
    parser.add_argument("--models", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--fast", action="store_true")
    args = parser.parse_args()
    try:
        classifier = SegmentClassifier.load(args.models, args.model, fast=args.fast)
        found = [stored(path) for path in args.held_out]
        fold = joined(found + [unseen(classifier, read_pages(path)) for path in args.unseen])
        samples = [Sample("held out", fold.logits, fold.truth)]
        for path in args.pages:
            pages = read_pages(path)
            truth = np.array([LABELS.index(s.label) for page in pages for s in page.segments])
            samples.append(
                Sample(f"{path.parent.name}/{path.stem}", np.concatenate(labels_of(classifier, pages)), truth)
            )
    except (AnnotatorError, OSError, ValueError, KeyError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    names = [sample.name for sample in samples]
    print(f"{classifier.version}; {len(fold.truth)} segments of {len(np.unique(fold.groups()))} articles held out\n")

    print("| risk | " + " | ".join(f"{name}: reviewed, errors among the rest" for name in names) + " |")
    print("|---" * (len(names) + 1) + "|")
    for risk in args.risks:
        fitted = fit_calibration(fold, risk=risk)
        cells = []
        for sample in samples:
            confidence, right = sample.stated(fitted.calibration)
            passed = confidence.round(4) >= fitted.calibration.review_below
            cells.append(f"{1 - passed.mean():.0%}, {1 - right[passed].mean() if passed.any() else 0:.1%}")
        promise = "" if fitted.review.guaranteed else " (measured, not promised)"
        print(f"| {risk:g}{promise} | {' | '.join(cells)} |")

    fitted, logits = fit_calibration(fold), fold.logits.astype(np.float64)
    alone = temperature(logits, fold.truth)
    mapped = beta_map(logits, logits.argmax(axis=1) == fold.truth, alone)
    gains = ", ".join(f"{gain:.1f}" for gain in fitted.gains)
    losses = f"temperature {fitted.temperature_loss:.4f}, beta map {fitted.beta_loss:.4f}"
    print(f"\nLoss held out, cross-validated: {losses}; the map gains {gains} standard errors by source.\n")
    print("| calibration error (ECE) | " + " | ".join(names) + " |\n" + "|---" * (len(names) + 1) + "|")
    for name, one in (("temperature alone", alone), ("with a beta map", mapped)):
        errors = [f"{reliability(*sample.stated(one))[0]:.3f}" for sample in samples]
        print(f"| {name}: {one.temperature} {list(one.top)} | {' | '.join(errors)} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
