"""What the rule for `unverified` is worth.

    python scripts/measure_unverified.py [--part frozen|development] [--errors] [LABELLED…]

Without files: precision, recall and F1 on the table of tests/data/unverified.jsonl (its README states how it is split;
the frozen part is for measuring, once a rule). `--errors` names the ids and kinds of what is wrong. A sentence with
quotation marks is taken for a quotation, any other for a claim.

With labelled pages (their true labels are used): one line a conditional form in a claim or a quotation, tab-separated:
page, start, end, label of the segment, and what the rule takes it for (`hearsay`, or the reason why it is none), for
reading by hand; counts on stderr. Ids and offsets only, never a page's text.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

from annotator.conditional import find_conditionals
from annotator.dataset import LabelledPage, read_pages
from annotator.errors import AnnotatorError
from annotator.records import Label
from annotator.unverified import distances, is_unverified

TABLE = Path(__file__).resolve().parent.parent / "tests" / "data" / "unverified.jsonl"


def main() -> int:
    """Measure; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", type=Path, metavar="LABELLED")
    parser.add_argument("--part", choices=("frozen", "development"), default="frozen")
    parser.add_argument("--errors", action="store_true", help="name the sentences that are judged wrongly")
    arguments = parser.parse_args()
    if not arguments.pages:
        print("\n".join(measure(part=arguments.part, errors=arguments.errors)))
        return 0
    try:
        list_conditionals(read_pages(*arguments.pages))
    except AnnotatorError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def measure(*, part: str, errors: bool) -> list[str]:
    """Score the rule on one part of the table; return lines to print."""
    rows = [json.loads(line) for line in TABLE.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if (row["id"] % 3 == 0) == (part == "development")]
    counts: Counter[tuple[bool, bool]] = Counter()
    wrong: list[str] = []
    for row in rows:
        label = Label.ATTRIBUTED_QUOTE if "«" in row["text"] else Label.REPORTED_CLAIM
        found = is_unverified(row["text"], label) is True
        counts[row["unverified"], found] += 1
        if found != row["unverified"]:
            wrong.append(f"{row['id']}\t{row['kind']}\t{'taken' if found else 'missed'}")
    right, taken, missed = counts[True, True], counts[False, True], counts[True, False]
    lines = [
        f"part\t{part}: {len(rows)} sentences, {right + missed} unverified",
        f"precision\t{right / (right + taken):.3f}\t{right}/{right + taken}",
        f"recall\t{right / (right + missed):.3f}\t{right}/{right + missed}",
        f"F1\t{2 * right / (2 * right + taken + missed):.3f}",
    ]
    return lines + (wrong if errors else [])


def list_conditionals(pages: list[LabelledPage]) -> None:
    """Print every conditional of claims and quotations, and what the rule takes it for."""
    counts: Counter[str] = Counter()
    for page in pages:
        for segment in page.segments:
            if segment.label not in {Label.REPORTED_CLAIM, Label.ATTRIBUTED_QUOTE}:
                continue
            text = segment.span.of(page.article.text)
            counts["segments"] += 1
            counts["segments unverified"] += is_unverified(text, segment.label) is True
            forms = {verb.span for verb in find_conditionals(text)}
            for span, reason in distances(text, segment.label):
                kind = (reason or "hearsay") if span in forms else "word"
                counts[kind] += 1
                start = segment.span.start
                print(page.article.article_id, start + span.start, start + span.end, segment.label, kind, sep="\t")
    for name, count in counts.most_common():
        print(f"{name}\t{count}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
