"""Making one shard of a run: which of its items are scored, its file, its record.

What a shard holds depends on its part, on what earlier items claimed (ids, and texts where repeated pages are left
out) and on the model, never on when it was made or by which engine.
"""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from annotator.bulk import EngineConfig, score_articles
from annotator.classifier import SegmentClassifier
from annotator.errors import InputError, RecordError
from annotator.files import known_format, read_rows
from annotator.ledger import Ledger, ShardRecord
from annotator.parts import Item, Part
from annotator.reader import ReadFailure, Skipped
from annotator.records import Article, ScoredArticle
from annotator.registry import file_digest
from annotator.repeats import NearDuplicates, digest
from annotator.storage import RecordFormat, ScoredWriter

# The list of failures in a folder of shards: JSON Lines too, but no records.
ERRORS = "errors.jsonl"
# Why an article is not scored: a reason to skip it, or a failure; None where it is.
Verdict = str | ReadFailure | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardConfig:
    """What the shards of a run hold; saved with the run and compared when it is resumed.

    ``size`` is in items of a part; ``dedupe`` leaves out pages whose text an earlier page of the run has, or whose
    text nearly repeats one of the same shard; ``any_language`` reads pages of crawls in other languages too.
    """

    size: int = 1000
    fmt: RecordFormat = "jsonl"
    lean: bool = False
    dedupe: bool = False
    any_language: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardWork:
    """A shard to be made: the ``number``-th of ``part``, from item ``first`` on; ``input`` names the part."""

    part: int
    number: int
    input: str
    first: int


def known_ids(path: Path) -> Iterator[bytes]:
    """Yield the digests of the article ids of an earlier output: a file, or a folder of shards.

    Raises:
        InputError: no such output, or a record without an id.
    """
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if not file.name.startswith(".") and file.name != ERRORS)
        files = [file for file in files if known_format(file) in {"jsonl", "csv", "parquet"}]
        if not files:
            raise InputError(f"{path}: the folder holds no scored records")
    else:
        files = [path]
    for file in files:
        try:
            for row in read_rows(file, columns=["article_id"]):
                if not isinstance(row.value, dict) or not isinstance(found := row.value.get("article_id"), str):
                    raise InputError(f"record {row.number} has no article_id: name an output of annotator score")
                yield digest(found)
        except InputError as error:
            raise InputError(f"{file}: {error}") from error


def shards_of(items: Iterator[Item | Skipped], size: int) -> Iterator[tuple[int, Iterator[Item | Skipped]]]:
    """Cut a part's items into shards, lazily: each must be used up before the next is asked for."""
    for number in itertools.count():
        head = next(items, None)
        if head is None:
            return
        yield number, _take(itertools.chain([head], items), size)


def _take(items: Iterable[Item | Skipped], size: int) -> Iterator[Item | Skipped]:
    count = 0
    for item in items:
        yield item
        count += not isinstance(item, Skipped)
        if count == size:
            return


def judge(ledger: Ledger, part: Part, config: ShardConfig) -> Callable[[int, Article], Verdict]:
    """Return what decides on an article by its position in its part: is its id or text taken, or known?"""

    def verdict(position: int, article: Article) -> Verdict:
        name = digest(article.article_id)
        if part.own_ids and (first := ledger.claim("ids", name, part.number, position)):
            return repeated_id(part, position, article.article_id, *first)
        if ledger.knows(name):
            return "known"
        if config.dedupe and ledger.claim("texts", digest(article.text), part.number, position):
            return "duplicate"
        return None

    return verdict


def repeated_id(part: Part, position: int, article_id: str, name: str, first: int) -> ReadFailure:
    """Say that an id was read before, as the ``first``-th item of the part called ``name``."""
    return ReadFailure(
        f"{part.name}, item {position + 1}",
        f"article_id {article_id!r} was read before, at {name}, item {first + 1}: ids must differ",
    )


def make_shard(
    work: ShardWork,
    items: Iterable[Item | Skipped],
    verdict: Callable[[int, Article], Verdict],
    classifier: SegmentClassifier,
    folder: Path,
    config: ShardConfig,
    engine: EngineConfig | None = None,
    on_scored: Callable[[ScoredArticle], None] | None = None,
) -> tuple[ShardRecord, list[tuple[int, ReadFailure]]]:
    """Score a shard's items and write its file under its name, safe on disk; return its record and what failed.

    Making a shard twice gives the same bytes; the second takes the place of the first in one step.
    """
    failures: list[tuple[int, ReadFailure]] = []
    skipped: Counter[str] = Counter()
    positions: deque[int] = deque()
    near = NearDuplicates() if config.dedupe else None
    count = 0

    def articles() -> Iterator[Article]:
        nonlocal count
        for item in items:
            if isinstance(item, Skipped):
                skipped[item.reason] += 1
                continue
            position = work.first + count
            count += 1
            found: Verdict | Article = item if isinstance(item, ReadFailure) else verdict(position, item)
            if found is None and near is not None and isinstance(item, Article) and near.repeats(item.text):
                found = "near duplicate"
            if isinstance(found, ReadFailure):
                failures.append((position, found))
            elif isinstance(found, str):
                skipped[found] += 1
            elif isinstance(item, Article):
                positions.append(position)
                yield item

    name = f"{work.part:06d}-{work.number:05d}.{config.fmt}"
    written = segments = 0
    with ExitStack() as stack:
        writer: ScoredWriter | None = None
        for result in score_articles(articles(), classifier, engine):
            position = positions.popleft()
            if isinstance(result, ReadFailure):
                failures.append((position, result))
                continue
            if writer is None:
                target = ScoredWriter(folder / name, config.fmt, lean=config.lean, overwrite=True, durable=True)
                writer = stack.enter_context(target)
            try:
                writer.write(result)
            except RecordError as error:  # one page that the format cannot hold must not end an archive's run
                failures.append((position, ReadFailure(result.article.article_id, str(error))))
                continue
            written += 1
            segments += len(result.segments)
            if on_scored is not None:
                on_scored(result)
    failures.sort(key=lambda pair: pair[0])
    record = ShardRecord(
        part=work.part,
        shard=work.number,
        input=work.input,
        first=work.first,
        items=count,
        file=None if writer is None else name,
        articles=written,
        segments=segments,
        failed=len(failures),
        skipped=dict(sorted(skipped.items())),
        bytes=0 if writer is None else (folder / name).stat().st_size,
        sha256=None if writer is None else file_digest(folder / name),
    )
    return record, failures


def keeper(ledger: Ledger, *, dedupe: bool, known: Sequence[Path], window: int = 1000) -> Callable[[Article], Verdict]:
    """Return what decides on the articles of a run into one file, in order; None: score it.

    Nearly equal pages are looked for among the ``window`` kept before them at most.
    """
    with ledger.transaction():
        for path in known:
            ledger.add_known(known_ids(path))
    near = NearDuplicates() if dedupe else None
    seen = itertools.count()

    def verdict(article: Article) -> Verdict:
        nonlocal near
        position = next(seen)
        if ledger.knows(digest(article.article_id)):
            return "known"
        if near is None:
            return None
        if position % window == window - 1:
            near = NearDuplicates()
        if ledger.claim("texts", digest(article.text), 0, position):
            return "duplicate"
        return "near duplicate" if near.repeats(article.text) else None

    return verdict
