"""Does `annotator labels suspects` find wrong labels? Plants 5 % of them and looks where they rank.

    python scripts/measure_suspects.py pages.jsonl --cache features.npz

A planted label is another one, drawn with the odds of the labels at large. Prints, for each seed, the share of the
planted labels among the first tenth of the ranking (chance: 10 %), and the means.
"""

from __future__ import annotations

import argparse
import random
import sys
from dataclasses import replace
from pathlib import Path

from annotator.errors import AnnotatorError

try:
    import annotator.training  # noqa: F401 - says what is missing
except AnnotatorError as missing:
    sys.exit(f"error: {missing}")

import numpy as np

from annotator.dataset import LabelledPage, digest, read_pages
from annotator.records import LABELS
from annotator.review.suspects import out_of_fold, require, suspects
from annotator.training.base import load_base
from annotator.training.features import cached_features


def planted(pages: list[LabelledPage], share: float, seed: int) -> tuple[list[LabelledPage], set[tuple[str, int]]]:
    """Return the pages with a share of their labels replaced, and which (article_id, start)."""
    rng = random.Random(seed)
    places = [(p, s) for p, page in enumerate(pages) for s in range(len(page.segments))]
    odds = {label: sum(seg.label is label for page in pages for seg in page.segments) for label in LABELS}
    wrong: dict[int, set[int]] = {}
    for p, s in rng.sample(places, round(share * len(places))):
        wrong.setdefault(p, set()).add(s)
    out, hit = [], set()
    for p, page in enumerate(pages):
        segments = []
        for s, seg in enumerate(page.segments):
            if s in wrong.get(p, ()):
                others = [label for label in LABELS if label is not seg.label]
                label = rng.choices(others, [odds[o] for o in others])[0]
                hit.add((page.article.article_id, seg.span.start))
                segments.append(replace(seg, label=label, attribution=None, unverified=None))
            else:
                segments.append(seg)
        out.append(replace(page, segments=tuple(segments)))
    return out, hit


def main() -> int:
    """Plant, rank, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", type=Path, nargs="+", help="labelled pages")
    parser.add_argument("--base", default="models/base", help="folder of the frozen encoder")
    parser.add_argument("--cache", type=Path, required=True, help="where the features are kept (.npz)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--share", type=float, default=0.05, help="of the labels that are made wrong")
    parser.add_argument("--top", type=float, default=0.1, help="of the ranking that people would look at")
    args = parser.parse_args()
    recalls, flags = [], []
    try:
        require()
        pages = read_pages(*args.pages)
        features = cached_features(pages, lambda: load_base(args.base), str(args.base), args.cache)
        for seed in args.seeds:
            spoilt, hit = planted(pages, args.share, seed)
            ranked = suspects(spoilt, out_of_fold(spoilt, features, seed=seed))
            first = ranked[: round(args.top * len(ranked))]
            found = sum((item.article_id, item.span.start) in hit for item in first)
            flagged = [item for item in ranked if item.flagged]
            right = sum((item.article_id, item.span.start) in hit for item in flagged)
            recalls.append(found / len(hit))
            flags.append(right / len(hit))
            print(
                f"seed {seed}: {len(hit)} planted of {len(ranked)}; recall in the top {args.top:.0%}: "
                f"{recalls[-1]:.3f}; flagged {len(flagged)}, of which planted {right}",
                flush=True,
            )
    except AnnotatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"mean recall in the top {args.top:.0%}: {np.mean(recalls):.3f}; among those flagged: {np.mean(flags):.3f}")
    print(f"data {digest(pages)[:16]}, {len(pages)} pages")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
