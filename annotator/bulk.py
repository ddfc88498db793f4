"""Scoring many inputs: streaming, in order, one broken input never stopping the rest."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import pyarrow.parquet as pq

from annotator.classifier import SegmentClassifier
from annotator.files import known_format
from annotator.pipeline import score
from annotator.reader import ReadFailure, StdinFormat, expand, read_articles
from annotator.records import ScoredArticle

logger = logging.getLogger(__name__)

# Counting the lines of a larger file would take longer than it is worth to a progress bar.
_COUNT_LIMIT = 2_000_000_000


def score_inputs(
    inputs: Sequence[str | Path],
    classifier: SegmentClassifier,
    *,
    on_failure: Callable[[ReadFailure], None],
    stdin: BinaryIO | None = None,
    stdin_format: StdinFormat | None = None,
) -> Iterator[ScoredArticle]:
    """Read and score inputs lazily, in order; every input or article that fails is reported and passed over."""
    for article in read_articles(inputs, stdin=stdin, stdin_format=stdin_format, on_error=on_failure):
        try:
            scored = score(article, classifier)
        except Exception as error:  # whatever a page provokes, the next page is scored
            logger.debug("scoring %s failed", article.article_id, exc_info=True)
            on_failure(ReadFailure(article.article_id, f"scoring failed: {type(error).__name__}: {error}"))
        else:
            yield scored


def count_articles(inputs: Sequence[str | Path]) -> int | None:
    """Count what :func:`score_inputs` will read, for a progress bar; None where only reading it would tell."""
    total = 0
    for given in inputs:
        if given == "-":
            return None
        for path in expand(given):
            if isinstance(path, ReadFailure):
                continue
            kind = known_format(path)
            try:
                if kind == "parquet":
                    total += pq.ParquetFile(path).metadata.num_rows
                elif kind in {"jsonl", "csv"}:
                    if kind == "csv" or path.suffix == ".gz" or path.stat().st_size > _COUNT_LIMIT:
                        return None
                    total += _count_lines(path)
                else:
                    total += 1
            except (OSError, ValueError):
                total += 1  # it will fail, once
    return total


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
