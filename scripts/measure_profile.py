"""Measure how far the figures of profiles are from those of people's labels, before and after correction.

    python scripts/measure_profile.py labels/gate.jsonl [REAL/gate.jsonl ...]

Each outlet in turn is left out: the model's error is measured on the pages of all the others, and the profiles of the
outlet and of its articles are compared with the same counts over people's labels. ``none`` are the figures as the
model's labels give them, ``full`` corrected by the whole confusion matrix, ``tuned`` as profiles have them. Shares are
in points; figures that rest on fewer than 3 segments are left out. Counts and scores only, never a page's text.

--cost times the profile against the scoring of the same pages; --scored takes records that were written before.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from annotator.alignment import gate_page
from annotator.classifier import SegmentClassifier
from annotator.dataset import outlet_families, read_pages
from annotator.errors import AnnotatorError
from annotator.pipeline import score
from annotator.profile import ErrorModel, Profile, profile_article, profile_facts, profile_outlets
from annotator.profile.measure import GatePage, measure_error
from annotator.storage import read_scored

LEAST = 3
LARGE = 100
COLUMNS = ("what", "signal", "figures", "bias none", "full", "tuned", "mean error none", "full", "tuned",
           "worst none", "tuned", "covered", "width")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure: how far it is off without, with the full and with the tuned correction, and its interval."""

    none: float
    full: float
    tuned: float
    covered: bool
    width: float


def gate(pages: Sequence[Path], scored: Sequence[Path], models: Path | None, version: str | None) -> list[GatePage]:
    """Score the labelled pages, or take them from records, and put both sides together."""
    labelled = read_pages(*pages)
    families = outlet_families(page.article.outlet for page in labelled)
    if scored:
        known = {one.article.article_id: one for one in read_scored(scored)}
        records = [known[page.article.article_id] for page in labelled]
    else:
        classifier = SegmentClassifier.load(models, version)
        records = [score(page.article, classifier) for page in labelled]
    return [
        gate_page(page, record, outlet=families[page.article.outlet])
        for page, record in zip(labelled, records, strict=True)
    ]


def compare(gold: Profile, said: Profile, full: Profile) -> Iterator[tuple[str, Row]]:
    """Yield a row for each figure that people's labels define and whose error is known."""
    for name, figure in said.figures.items():
        true, untuned = gold.figures[name].observed, full.figures[name].value
        group = name if name.startswith("labels.") else name.partition(".")[0]
        if group in {"headline", "body"} or not figure.corrected or figure.n < LEAST:
            continue
        if true is None or untuned is None or None in {figure.value, figure.observed, figure.low, figure.high}:
            continue
        assert figure.value is not None and figure.observed is not None  # noqa: PT018
        assert figure.low is not None and figure.high is not None  # noqa: PT018
        yield (
            group,
            Row(
                none=figure.observed - true,
                full=untuned - true,
                tuned=figure.value - true,
                covered=figure.low - 1e-4 <= true <= figure.high + 1e-4,
                width=figure.high - figure.low,
            ),
        )


def leave_out(pages: Sequence[GatePage]) -> dict[tuple[str, str], list[Row]]:
    """Compare every article and every outlet, corrected with what was measured on the other outlets."""
    rows: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for outlet in sorted({page.outlet for page in pages}):
        error = measure_error([page for page in pages if page.outlet != outlet], data="")
        full = replace(error, shares={name: replace(one, tuning=1.0) for name, one in error.shares.items()})
        inside = [page for page in pages if page.outlet == outlet]
        for page in inside:
            gold = profile_facts(page.gold, None)
            for group, row in compare(gold, profile_facts(page.said, error), profile_facts(page.said, full)):
                rows["article", group].append(row)
        gold, said, untuned = (
            _outlet(inside, side, model) for side, model in (("gold", None), ("said", error), ("said", full))
        )
        segments = sum(len(page.gold.segments) for page in inside)
        scope = f"outlet, {LARGE} segments or more" if segments >= LARGE else "smaller outlet"
        for group, row in compare(gold, said, untuned):
            rows[scope, group].append(row)
    return rows


def _outlet(pages: Iterable[GatePage], side: str, error: ErrorModel | None) -> Profile:
    # Spellings of an outlet's name are one outlet here.
    facts = [replace(getattr(page, side), outlet=page.outlet) for page in pages]
    (profile,) = profile_outlets(facts, lambda _: error)
    return profile


def table(rows: dict[tuple[str, str], list[Row]]) -> list[list[str]]:
    """Return a header and a line for each scope and signal."""
    lines = [list(COLUMNS)]
    for (scope, group), found in sorted(rows.items()):
        scale = 1 if group == "distinct_sources" else 100
        none, full, tuned = (
            np.array([getattr(row, name) for row in found]) * scale for name in ("none", "full", "tuned")
        )
        zero = group in {"characters", "source_types"}  # shares that sum to 1: their mean bias is 0
        lines.append(
            [scope, group, str(len(found)),
             *("" if zero else f"{side.mean():+.1f}" for side in (none, full, tuned)),
             *(f"{np.abs(side).mean():.1f}" for side in (none, full, tuned)),
             *(f"{np.abs(side).max():.0f}" for side in (none, tuned)),
             f"{np.mean([row.covered for row in found]):.0%}",
             f"{np.mean([row.width for row in found]) * scale:.0f}"]
        )  # fmt: skip
    return lines


def cost(pages: Sequence[Path], models: Path | None, version: str | None, *, most: int = 30) -> str:
    """Time scoring and profiling of at most ``most`` pages, in processor time; scoring includes the profile."""
    classifier = SegmentClassifier.load(models, version, threads=1)
    articles = [page.article for page in read_pages(*pages)][:most]
    score(articles[0], classifier)
    began = time.process_time()
    records = [score(article, classifier) for article in articles]
    scoring = time.process_time() - began
    began = time.process_time()
    for record in records:
        profile_article(record, classifier.error).to_dict()
    profiling = time.process_time() - began
    each = 1000 / len(records)
    return (
        f"{len(records)} pages: {scoring * each:.1f} ms a page to score, {profiling * each:.2f} ms of it the profile "
        f"({profiling / scoring:.2%}), one thread, processor time"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "labelled", nargs="+", type=Path, help="labelled pages (.jsonl) that the model did not train on"
    )
    parser.add_argument("--scored", nargs="*", type=Path, default=[], help="the same pages as the model scored them")
    parser.add_argument("--models", type=Path)
    parser.add_argument("--model", help="version (default: the current one)")
    parser.add_argument("--cost", action="store_true", help="time it instead")
    args = parser.parse_args(argv)
    try:
        if args.cost:
            print(cost(args.labelled, args.models, args.model))
            return 0
        pages = gate(args.labelled, args.scored, args.models, args.model)
        outlets = len({page.outlet for page in pages})
        segments = sum(len(page.gold.segments) for page in pages)
        print(f"model {pages[0].said.model_version}, {len(pages)} pages of {outlets} outlets, {segments} segments\n")
        header, *body = table(leave_out(pages))
    except AnnotatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for line in (header, ["---"] * len(header), *body):
        print("| " + " | ".join(line) + " |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
