"""How much labelling pays: macro-F1 on gate pages against the number of pages of one file that train.

    python scripts/learning_curve.py --always labels/train.jsonl --grow REAL/train.jsonl --gate REAL/gate.jsonl \
        --run runs/curve [--sizes 0 25 50 100 all] [--seeds 1 2 3] [--compile]

Every size holds the pages of the smaller ones (one order, drawn once over outlets); a seed changes the training only.
A training that was cut goes on; a finished one is read. Macro-F1 is on gold boundaries, of the network before export.
Prints a Markdown table; ids and scores only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import random
import sys
from pathlib import Path

from annotator.errors import AnnotatorError

try:
    import annotator.training  # noqa: F401 - says what is missing
except AnnotatorError as missing:
    sys.exit(f"error: {missing}")

import numpy as np

from annotator import metrics
from annotator.dataset import LabelledPage, digest, leakage, read_pages
from annotator.records import LABELS
from annotator.registry import replace_text
from annotator.training.base import load_base
from annotator.training.fit import Hardware, has_bf16, pick_device, predict
from annotator.training.recipe import Recipe, train, train_config, without_gate_outlets


def main() -> int:
    """Train what is not trained yet; print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--always", type=Path, nargs="*", default=[], help="pages that every training has")
    parser.add_argument("--grow", type=Path, required=True, help="pages of which a growing part trains")
    parser.add_argument("--gate", type=Path, required=True, help="pages to measure on")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--sizes", nargs="+", default=["0", "25", "50", "100", "all"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--base", default="models/base")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="as in scripts/train.py")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        gate = read_pages(args.gate)
        always = without_gate_outlets(read_pages(*args.always) if args.always else [], gate)
        grow = in_one_order(without_gate_outlets(read_pages(args.grow), gate))
        if found := leakage([*always, *grow], gate):
            raise AnnotatorError(f"leakage: {found[0]}: drop the page")
        scores = {
            size: [one(args, always + grow[: count(size, grow)], size, seed, gate) for seed in args.seeds]
            for size in args.sizes
            if always or count(size, grow)
        }
    except AnnotatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    seeds = " | ".join(f"seed {seed}" for seed in args.seeds)
    print(f"Measured on {len(gate)} pages, digest `{digest(gate)[:12]}`; {len(always)} pages in every training.\n")
    print(f"| pages added | segments added | {seeds} | mean |\n|{'---|' * (len(args.seeds) + 3)}")
    for size, values in scores.items():
        pages = grow[: count(size, grow)]
        cells = [str(len(pages)), str(sum(len(p.segments) for p in pages)), *(f"{v:.3f}" for v in values)]
        print(f"| {' | '.join([*cells, f'{np.mean(values):.3f}'])} |")
    return 0


def count(size: str, pages: list[LabelledPage]) -> int:
    """Return how many pages a size stands for."""
    return len(pages) if size == "all" else min(int(size), len(pages))


def in_one_order(pages: list[LabelledPage]) -> list[LabelledPage]:
    """Return the pages shuffled by one seed, whatever their order in the file."""
    found = sorted(pages, key=lambda page: page.article.article_id)
    random.Random(0).shuffle(found)
    return found


def one(args: argparse.Namespace, pages: list[LabelledPage], size: str, seed: int, gate: list[LabelledPage]) -> float:
    """Return the macro-F1 of one training, from its file where it is done."""
    made_of = {"train": digest(pages), "gate": digest(gate), "set": args.set, "base": args.base}
    name = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:8]
    folder = args.run / f"{size}-{seed}-{name}"
    done = folder / "score.json"
    if done.is_file():
        return float(json.loads(done.read_text(encoding="utf-8"))["macro_f1"])
    recipe = Recipe(base=args.base, config=train_config(args.set), seeds=(seed,))
    model = train(pages, recipe, folder, hardware=Hardware(device=args.device, compile=args.compile))
    bf16 = has_bf16(pick_device(args.device))
    found = predict(model, gate, load_base(args.base), recipe.config.windows, bf16=bf16)
    best = np.concatenate([pooled.labels.argmax(axis=1) for _, pooled in found])
    truth = np.array([LABELS.index(s.label) for page in gate for s in page.segments])
    value = float(metrics.macro_f1(metrics.confusion(truth, best, classes=len(LABELS))))
    replace_text(done, json.dumps({"macro_f1": value, "made_of": made_of}) + "\n")
    return value


if __name__ == "__main__":
    raise SystemExit(main())
