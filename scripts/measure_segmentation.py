"""Measure the segmentation against labelled pages.

    python scripts/measure_segmentation.py labels/ [MORE.jsonl ...]

A boundary is the start of a segment, the first of a page left out. It is inside quotation marks when, on its own
line of the page, it falls after the opening and not after the closing one of a pair « … », “ … ” or " … ";
pairs are read from left to right and do not nest. The table holds scores only, never a page's text.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.dataset import read_pages
from annotator.errors import AnnotatorError
from annotator.segmentation import segment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from annotator.dataset import LabelledPage
    from annotator.records import Span

QUOTED = re.compile(r"«[^«»\r\n]*»|“[^“”\r\n]*”|\"[^\"\r\n]*\"")
COLUMNS = ("file", "pages", "segments", "P", "R", "F1", "P outside", "R outside", "F1 outside", "F1 spans", "MB/s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many things were found and right, found at all, and in the gold."""

    right: int = 0
    found: int = 0
    gold: int = 0

    def add(self, found: set[object], gold: set[object]) -> Counts:
        """Return the counts with those of one more page."""
        return Counts(
            right=self.right + len(found & gold),
            found=self.found + len(found),
            gold=self.gold + len(gold),
        )

    @property
    def precision(self) -> float:
        """Share of what was found that is right; 1 where nothing was found."""
        return self.right / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """Share of the gold that was found; 1 where there is none."""
        return self.right / self.gold if self.gold else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of the two; 1 where there is nothing to find and nothing was found."""
        return 2 * self.right / (self.found + self.gold) if self.found + self.gold else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Scores of the segmentation on some pages; ``speed`` is in millions of characters a second."""

    pages: int
    boundaries: Counts
    outside: Counts
    spans: Counts
    speed: float


def inside_quotes(text: str) -> set[int]:
    """Return the offsets at which a boundary would fall inside a pair of quotation marks."""
    return {at for pair in QUOTED.finditer(text) for at in range(pair.start() + 1, pair.end())}


def measure(pages: Iterable[LabelledPage]) -> Measure:
    """Segment each page and compare with its labelled segments."""
    boundaries, outside, spans = Counts(), Counts(), Counts()
    seconds, length, number = 0.0, 0, 0
    for page in pages:
        text = page.article.text
        began = time.perf_counter()
        found = segment(text)
        seconds += time.perf_counter() - began
        length += len(text)
        number += 1
        gold = [item.span for item in page.segments]
        spans = spans.add(set(found), set(gold))
        ours, theirs = _starts(found), _starts(gold)
        boundaries = boundaries.add(ours, theirs)
        inside = inside_quotes(text)
        outside = outside.add(ours - inside, theirs - inside)
    speed = length / seconds / 1e6 if seconds else 0.0
    return Measure(pages=number, boundaries=boundaries, outside=outside, spans=spans, speed=speed)


def _starts(spans: Sequence[Span]) -> set[object]:
    return {span.start for span in spans[1:]}


def _row(name: str, result: Measure) -> list[str]:
    scores = [
        *(
            getattr(counts, name)
            for counts in (result.boundaries, result.outside)
            for name in ("precision", "recall", "f1")
        ),
        result.spans.f1,
    ]
    return [
        name,
        str(result.pages),
        str(result.spans.gold),
        *(f"{score:.4f}" for score in scores),
        f"{result.speed:.1f}",
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="labelled pages (.jsonl), or their folder")
    options = parser.parse_args(argv)
    rows = [list(COLUMNS)]
    try:
        files = [file for path in options.paths for file in (sorted(path.glob("*.jsonl")) if path.is_dir() else [path])]
        rows += [_row(f"{file.parent.name}/{file.name}", measure(read_pages(file))) for file in files]
    except AnnotatorError as error:
        print(error, file=sys.stderr)
        return 1
    if len(rows) == 1:
        print("no *.jsonl in the folders given: name the files of labelled pages", file=sys.stderr)
        return 1
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
