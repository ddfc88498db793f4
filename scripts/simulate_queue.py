"""How many pages must be labelled when the review queue chooses them, and when chance does?

    python scripts/simulate_queue.py pages.jsonl --cache features.npz --plot docs/images/review-queue.svg

Labelled pages stand in for people: a page that is chosen is labelled at once. A linear head on frozen segment features
(mean hidden states of --base, which has seen no label) is fitted again after every batch, and judged on a fifth of the
outlets that is never chosen from. Both ways begin with the same ten random pages. Prints, for each seed, the pages
needed for 95 % of the macro-F1 of all pages, and the means.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path

from annotator.errors import AnnotatorError

try:
    import annotator.training  # noqa: F401 - says what is missing
except AnnotatorError as missing:
    sys.exit(f"error: {missing}")

import numpy as np

from annotator.dataset import digest, read_pages, split_by_outlet
from annotator.metrics import confusion, macro_f1
from annotator.records import LABELS
from annotator.review.queue import Candidate, QueueRules, entropy, queue
from annotator.review.suspects import linear_head, require
from annotator.training.base import load_base
from annotator.training.features import cached_features

SHARE = 0.95
START = 10


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", type=Path, nargs="+", help="labelled pages")
    parser.add_argument("--base", default="models/base", help="folder of the frozen encoder")
    parser.add_argument("--cache", type=Path, required=True, help="where the features are kept (.npz)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--batch", type=int, default=10, help="pages labelled between two fits")
    parser.add_argument("--random-share", type=float, default=0.1)
    parser.add_argument("--json", type=Path, help="write all curves to this file")
    parser.add_argument("--plot", type=Path, help="write the picture to this file (needs matplotlib)")
    return parser.parse_args()


def curve(pages, features, pool, held, args, seed, *, chosen_by):  # noqa: ANN001, ANN201 - one loop of a script
    """Return (pages labelled, macro-F1 on the held-out pages) after every batch."""
    gold = [np.array([LABELS.index(seg.label) for seg in page.segments]) for page in pages]
    truth = np.concatenate([gold[n] for n in held])
    tested = np.concatenate([features[n] for n in held])
    rng = random.Random(seed)
    order = list(pool)
    rng.shuffle(order)
    known, left = order[:START], order[START:]
    points = []
    while True:
        predict = linear_head(np.concatenate([features[n] for n in known]), np.concatenate([gold[n] for n in known]))
        found = predict(tested).argmax(axis=1)
        points.append((len(known), float(macro_f1(confusion(truth, found, classes=len(LABELS))))))
        if not left:
            return points
        if chosen_by == "queue":
            rows = [
                Candidate(
                    article_id=str(n), outlet=pages[n].article.outlet, genre=pages[n].genre,
                    uncertainty=entropy(predict(features[n])) if n in set(left) else 0.0,
                )
                for n in (*left, *known)
            ]  # fmt: skip
            rules = QueueRules(random_share=args.random_share, seed=seed * 1000 + len(known))
            places = queue(rows[: len(left)], done=rows[len(left) :], rules=rules)
            batch = [int(place.article_id) for place in places[: args.batch]]
        else:
            batch = left[: args.batch]
        known = known + batch
        left = [n for n in left if n not in set(batch)]


def needed(points: list[tuple[int, float]]) -> int:
    """Return the pages from which on 95 % of the last score is reached, for the first time."""
    goal = SHARE * points[-1][1]
    return next(count for count, score in points if score >= goal)


def main() -> int:
    """Simulate; print a table."""
    args = arguments()
    try:
        require("simulating the queue")
        pages = read_pages(*args.pages)
        found = cached_features(pages, lambda: load_base(args.base), str(args.base), args.cache)
        features = [rows.astype(np.float64) for rows in found]
        place = {page.article.article_id: n for n, page in enumerate(pages)}
        runs = []
        for seed in args.seeds:
            parts = split_by_outlet(pages, folds=5, seed=seed)
            held = [place[page.article.article_id] for page in parts[0]]
            pool = sorted(place[page.article.article_id] for part in parts[1:] for page in part)
            both = {how: curve(pages, features, pool, held, args, seed, chosen_by=how) for how in ("queue", "random")}
            runs.append({"seed": seed, "pool": len(pool), **both})
            counts = ", ".join(f"{how} {needed(both[how])}" for how in both)
            print(f"seed {seed}: full macro-F1 {both['random'][-1][1]:.3f}, pages for 95 %: {counts}", flush=True)
    except AnnotatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for how in ("queue", "random"):
        counts = [needed(run[how]) for run in runs]
        print(f"{how}: {np.mean(counts):.0f} pages (standard deviation {np.std(counts, ddof=1):.0f})")
    print(f"data {digest(pages)[:16]}, {len(pages)} pages, batches of {args.batch}")
    if args.json:
        args.json.write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")
    if args.plot:
        draw(runs, args.plot)
    return 0


def draw(runs, path: Path) -> None:  # noqa: ANN001 - a script
    """Draw the mean of the runs, each as a share of its full score."""
    import matplotlib as mpl  # noqa: PLC0415 - for the picture alone

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "annotator"
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(figsize=(7, 4))
    for how, colour in (("queue", "#0072B2"), ("random", "#E69F00")):
        length = min(len(run[how]) for run in runs)
        counts = [run[how][i][0] for run in runs[:1] for i in range(length)]
        shares = np.array([[run[how][i][1] / run[how][-1][1] for i in range(length)] for run in runs])
        axes.plot(counts, shares.mean(axis=0), color=colour, label=f"chosen by the {how}" if how == "queue" else how)
        axes.fill_between(counts, shares.min(axis=0), shares.max(axis=0), color=colour, alpha=0.2, linewidth=0)
    axes.axhline(SHARE, color="#555555", linewidth=0.8, linestyle="--")
    axes.set_xlabel("pages labelled")
    axes.set_ylabel("share of the full macro-F1")
    axes.legend(loc="lower right", frameon=False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    raise SystemExit(main())
