"""Train the base encoder on the text of pages, without labels, before scripts/train.py fine-tunes it.

    python scripts/warm_up.py --data labels/train.jsonl REAL/train.jsonl --gate labels/gate.jsonl REAL/gate.jsonl
        --run runs/warm-up [--leave-out-fold 0] [--compile]
    python scripts/train.py --base runs/warm-up …

Pages of outlets that stand in a --gate file are left out. ``--leave-out-fold K`` leaves out fold K (of 5) of the last
--data file too, so that what is measured or calibrated on that fold has not seen its text. A run that was cut goes on.
"""

from __future__ import annotations

import argparse
import logging
import sys
from dataclasses import replace
from pathlib import Path

from annotator.errors import AnnotatorError

try:
    import annotator.training  # noqa: F401 - says what is missing
except AnnotatorError as missing:
    sys.exit(f"error: {missing}")

from annotator.dataset import read_pages
from annotator.splits import split_by_outlet
from annotator.training.fit import Hardware
from annotator.training.masked import MaskedConfig, warm_up
from annotator.training.recipe import FOLD_SEED, without_gate_outlets


def main() -> int:
    """Warm the base up; print the folder that holds it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="pages, whose labels are not read")
    parser.add_argument("--gate", type=Path, nargs="*", default=[], help="pages whose outlets are left out")
    parser.add_argument("--base", default="models/base", help="folder made by scripts/build_base.py")
    parser.add_argument("--run", type=Path, required=True, help="folder for checkpoints and the warmed-up base")
    parser.add_argument("--leave-out-fold", type=int, metavar="K")
    parser.add_argument("--epochs", type=int, default=MaskedConfig().epochs)
    parser.add_argument("--learning-rate", type=float, default=MaskedConfig().learning_rate)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    parser.add_argument("--compile", action="store_true", help="compile the encoder (needs a C++ compiler)")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        gate = read_pages(*args.gate) if args.gate else []
        pages = without_gate_outlets(read_pages(*args.data), gate)
        if args.leave_out_fold is not None:
            like_the_use = without_gate_outlets(read_pages(args.data[-1]), gate)
            held = split_by_outlet(like_the_use, folds=5, seed=FOLD_SEED)[args.leave_out_fold]
            aside = {page.article.article_id for page in held}
            pages = [page for page in pages if page.article.article_id not in aside]
        config = replace(MaskedConfig(), epochs=args.epochs, learning_rate=args.learning_rate, seed=args.seed)
        warm_up(pages, args.base, config, args.run, hardware=Hardware(device=args.device, compile=args.compile))
    except AnnotatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(args.run)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
