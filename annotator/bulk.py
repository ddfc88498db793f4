"""Scoring many articles: several pages at a time, in order, at bounded memory, one broken page never stopping the rest.

Each worker thread takes a page through :func:`annotator.pipeline.score`, segmentation to record. ONNX Runtime releases
the interpreter's lock while it computes, so the Python steps of one page, and the reading of the next, run beside
the inference of another. A page is tokenised once, and scored by the same function whatever stands beside it: its
record depends on nothing here.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow.parquet as pq

from annotator.classifier import SegmentClassifier
from annotator.files import known_format
from annotator.pipeline import score
from annotator.reader import ReadFailure, Skipped, StdinFormat, expand, read_articles
from annotator.records import Article, ScoredArticle

logger = logging.getLogger(__name__)

# Counting the lines of a larger file would take longer than it is worth to a progress bar.
_COUNT_LIMIT = 2_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """How much is done at a time; no record depends on it.

    ``workers`` pages are scored at a time, each with ``session_threads`` threads of ONNX Runtime (0: its default,
    one a core); ``ahead`` pages and ``ahead_characters`` characters are read and not yet written, at most (one
    page always may be).
    """

    workers: int = 1
    session_threads: int = 1
    ahead: int = 64
    ahead_characters: int = 4_000_000

    @classmethod
    def for_threads(cls, threads: int | None = None, workers: int | None = None) -> EngineConfig:
        """Share ``threads`` (default: the cores this process may use) out among ``workers`` (default: as many).

        More workers than threads have one each: up to four times as many, which hide Python's steps behind inference.
        """
        total = threads or usable_cores()
        chosen = min(workers or total, 4 * total)
        return cls(workers=chosen, session_threads=max(1, total // chosen), ahead=max(64, 8 * chosen))


def usable_cores() -> int:
    """Return the number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def score_articles(
    articles: Iterable[Article], classifier: SegmentClassifier, config: EngineConfig | None = None
) -> Iterator[ScoredArticle | ReadFailure]:
    """Score articles lazily, in order; one that fails twice comes as a failure in its place."""
    config = config or EngineConfig()
    waiting: deque[tuple[Future[ScoredArticle | ReadFailure], int]] = deque()
    characters = 0
    with ThreadPoolExecutor(config.workers, thread_name_prefix="score") as pool:
        try:
            for article in articles:
                waiting.append((pool.submit(_score_twice, article, classifier), len(article.text)))
                characters += len(article.text)
                while waiting and (
                    waiting[0][0].done() or len(waiting) >= config.ahead or characters > config.ahead_characters
                ):
                    future, size = waiting.popleft()
                    characters -= size
                    yield future.result()
            while waiting:
                yield waiting.popleft()[0].result()
        finally:  # the caller may stop early, or reading may raise: what has not begun is not begun
            pool.shutdown(wait=False, cancel_futures=True)


def _score_twice(article: Article, classifier: SegmentClassifier) -> ScoredArticle | ReadFailure:
    """Score one article; whatever it provokes, the next one is scored. The second try is for what passes (memory)."""
    try:
        return score(article, classifier)
    except Exception:  # what it was is told when it happens again
        logger.debug("scoring %s failed: once more", article.article_id, exc_info=True)
    try:
        return score(article, classifier)
    except Exception as error:
        logger.debug("scoring %s failed", article.article_id, exc_info=True)
        return ReadFailure(article.article_id, f"scoring failed: {type(error).__name__}: {one_line(error)}")


def one_line(error: BaseException) -> str:
    """Return what an error says as one line."""
    return " ".join(str(error).split())


def score_inputs(
    inputs: Sequence[str | Path],
    classifier: SegmentClassifier,
    *,
    on_failure: Callable[[ReadFailure], None],
    stdin: BinaryIO | None = None,
    stdin_format: StdinFormat | None = None,
    any_language: bool = False,
    on_skip: Callable[[Skipped], None] | None = None,
    keep: Callable[[Article], bool] | None = None,
    config: EngineConfig | None = None,
    outputs: Sequence[Path] = (),
) -> Iterator[ScoredArticle]:
    """Read and score inputs lazily, in order; every input or article that fails is reported and passed over.

    Args:
        inputs: as :func:`annotator.reader.read_articles` takes them, with ``stdin``, ``stdin_format`` and
            ``any_language``.
        classifier: the model.
        on_failure: called with each failure.
        stdin: see ``inputs``.
        stdin_format: see ``inputs``.
        any_language: see ``inputs``.
        on_skip: called with each page of a crawl that is left out.
        keep: asked about each article, in order; those that it refuses are not scored.
        config: how much is done at a time.
        outputs: files and folders being written, which folders and patterns among the inputs leave out.
    """
    articles: Iterable[Article] = read_articles(
        inputs, stdin=stdin, stdin_format=stdin_format, on_error=on_failure, any_language=any_language,
        on_skip=on_skip, outputs=outputs,
    )  # fmt: skip
    if keep is not None:
        articles = filter(keep, articles)
    for result in score_articles(articles, classifier, config):
        if isinstance(result, ReadFailure):
            on_failure(result)
        else:
            yield result


def count_articles(inputs: Sequence[str | Path], outputs: Sequence[Path] = ()) -> int | None:
    """Count what :func:`score_inputs` will read, for a progress bar; None where only reading it would tell."""
    total = 0
    for given in inputs:
        if given == "-":
            return None
        for path in expand(given, outputs):
            if isinstance(path, ReadFailure):
                continue
            kind = known_format(path)
            try:
                if kind == "parquet":
                    total += pq.ParquetFile(path).metadata.num_rows
                elif kind in {"jsonl", "csv", "warc"}:
                    if kind != "jsonl" or path.suffix == ".gz" or path.stat().st_size > _COUNT_LIMIT:
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
