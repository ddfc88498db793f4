"""What the rules for `source_segment` and `antecedent` are worth, on tests/data/carried.jsonl and the pages of labels/.

    python scripts/measure_carried.py [--model] [--errors]

The rules see the true labels and attributions of every page; with `--model`, what the current model predicts on the
true segments of labels/gate.jsonl, which it was not trained on: a link is then also wrong, or missed, where the model's
label or source is. Precision: of the links made on the segments of the file, how many are right. Recall: of the
segments with a right link, how many got it. Tab-separated. `--model` also gives the share of the scoring time that the
rules take (these and that for `unverified`).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import annotator
from annotator.dataset import LabelledPage, read_pages
from annotator.pipeline import score
from annotator.records import Attribution
from annotator.references import complete
from annotator.segmentation import breaks
from annotator.unverified import is_unverified

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Measure; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="store_true", help="on predicted labels and attributions")
    parser.add_argument("--errors", action="store_true", help="name what is wrong: page, segment, right, found")
    arguments = parser.parse_args()
    pages = {page.article.article_id: page for page in read_pages(ROOT / "labels")}
    right: dict[str, dict[tuple[str, int], tuple[str, list[int]]]] = defaultdict(dict)
    for line in (ROOT / "tests" / "data" / "carried.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        right[row["what"]][row["page"], row["segment"]] = row["part"], row["right"]
    model = annotator.load() if arguments.model else None
    counts: Counter[tuple[str, str, str]] = Counter()
    scoring = rules = 0.0
    for key, page in pages.items():
        if model is not None and page.split != "gate":
            continue
        spans = [segment.span for segment in page.segments]
        if model is None:
            truth = [segment.attribution for segment in page.segments]
            labels = [segment.label for segment in page.segments]
            found = complete(page.article.text, spans, breaks(page.article.text, spans), labels, truth)
        else:
            began = time.perf_counter()
            scored = score(page.article, model.classifier, spans=spans).segments
            scoring += time.perf_counter() - began
            found = [item.attribution for item in scored]
            began = time.perf_counter()
            labels = [item.label for item in scored]
            complete(page.article.text, spans, breaks(page.article.text, spans), labels, found)
            for span, label in zip(spans, labels, strict=True):
                is_unverified(span.of(page.article.text), label)
            rules += time.perf_counter() - began
        for what in ("carried", "antecedent"):
            links = _links(page, found, what)
            for index in range(len(spans)):
                part, ways = right[what].get((key, index), ("", []))
                link = links.get(index)
                if not part:
                    continue
                counts[part, what, "found"] += link is not None
                counts[part, what, "to find"] += bool(ways)
                counts[part, what, "right"] += link in ways
                if arguments.errors and (link not in ways if link is not None or ways else False):
                    print(part, what, key, index, ways, link, sep="\t")
    print("part", "what", "precision", "recall", "right", "found", "to find", sep="\t")
    for part in ("development", "test"):
        for what in ("carried", "antecedent"):
            hit, made, due = (counts[part, what, name] for name in ("right", "found", "to find"))
            if made or due:
                print(part, what, f"{hit / max(1, made):.3f}", f"{hit / max(1, due):.3f}", hit, made, due, sep="\t")
    if model is not None:
        print(f"the rules take {rules / scoring:.1%} of the scoring time")
    return 0


def _links(page: LabelledPage, found: Sequence[Attribution | None], what: str) -> dict[int, int]:
    """Return the segment that each link names, by the segment it is made for."""
    links: dict[int, int] = {}
    for index, said in enumerate(found):
        if said is not None and what == "carried" and said.source_segment is not None:
            links[index] = said.source_segment
        elif said is not None and what == "antecedent" and (span := said.antecedent) is not None:
            homes = enumerate(segment.span for segment in page.segments)
            links[index] = next(i for i, home in homes if home.start <= span.start < home.end)
    return links


if __name__ == "__main__":
    sys.exit(main())
