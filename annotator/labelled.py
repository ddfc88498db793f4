"""Labelled pages: the values, reading and writing (callers import them from :mod:`annotator.dataset`).

A labelled page is one JSON object a line (labels/README.md). Offsets are Python ``str`` indices into the
page's text, end exclusive. :func:`read_pages` also takes pages keyed by ``doc_id`` whose ``source`` and
``cue`` are ``[start, end]``. Messages name pages, offsets and labels, never a page's text.
"""

from __future__ import annotations

import gzip
import json
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from annotator.errors import InputError, RecordError
from annotator.records import LABELS, SOURCE_TYPES, Article, Attribution, Label, Span, parse_attribution

CODEBOOK = 1

Split = Literal["train", "gate"]

_OPTIONAL = ("outlet", "url", "title", "date", "genre", "topic", "features")
_ANNOTATION_KEYS = ("annotator", "created_at", "lead_time", "codebook", "model_version", "task_id", "comment")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledSegment:
    """A segment with its true label; ``also`` is the label that a second reader chose, where they differed.

    ``weight`` is what the segment counts in training; it is derived from the annotations and not stored.
    """

    span: Span
    label: Label
    attribution: Attribution | None = None
    unverified: bool | None = None
    also: Label | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPage:
    """A page with the merged truth (``segments``) and the work of each annotator (``annotations``).

    Without annotations the truth was written directly. ``split`` is frozen and goes by whole outlet.
    """

    article: Article
    split: Split | None
    genre: str | None
    topic: str | None
    segments: tuple[LabelledSegment, ...]
    annotations: tuple[Mapping[str, Any], ...] = ()
    features: str | None = None
    codebook: int = CODEBOOK

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: every key always present, in a fixed order."""
        art = self.article
        return {
            "article_id": art.article_id,
            "outlet": art.outlet,
            "url": art.url,
            "title": art.title,
            "date": art.date,
            "text": art.text,
            "text_sha256": art.text_sha256,
            "codebook": self.codebook,
            "split": self.split,
            "genre": self.genre,
            "topic": self.topic,
            "features": self.features,
            "segments": [_segment_dict(seg, art.text) for seg in self.segments],
            "annotations": [_annotation_dict(item, art.text) for item in self.annotations],
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any], *, where: str = "record") -> LabelledPage:
        """Build a page from its JSON form; unknown keys are ignored, offsets are left to :func:`check`.

        Raises:
            RecordError: a key is missing or of the wrong type, a label is unknown, a digest or a
                span's text does not match the page; ``where`` (file and line) opens the message.
        """
        try:
            return _parse_page(record)
        except RecordError as error:
            raise RecordError(f"{where}: {error}") from error
        except StopIteration as error:
            raise RecordError(f"{where}: no 'article_id' (nor 'doc_id'): add one") from error
        except KeyError as error:
            raise RecordError(f"{where}: the page lacks the key {error}: add it") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise RecordError(f"{where}: not a labelled page: {error}") from error


def _parse_page(record: Mapping[str, Any]) -> LabelledPage:
    text = _of_type(record["text"], str, "text")
    strings = {key: _of_type(record.get(key), (str, type(None)), key) for key in _OPTIONAL}
    article = Article(
        article_id=_of_type(next(record[key] for key in ("article_id", "doc_id") if key in record), str, "article_id"),
        text=text,
        outlet=strings["outlet"],
        url=strings["url"],
        title=strings["title"],
        date=strings["date"],
    )
    if record.get("text_sha256") not in (None, article.text_sha256):
        raise RecordError("text_sha256 does not match the text: the text was altered, restore it")
    if (split := record.get("split")) not in ("train", "gate", None):
        raise RecordError(f"split {split!r}: use 'train', 'gate' or null")
    return LabelledPage(
        article=article,
        split=split,
        genre=strings["genre"],
        topic=strings["topic"],
        features=strings["features"],
        codebook=_of_type(record.get("codebook", CODEBOOK), int, "codebook"),
        segments=parse_segments(record["segments"], text),
        annotations=tuple(_annotation_dict(item, text) for item in record.get("annotations") or ()),
    )


def _of_type(value: Any, kinds: type | tuple[type, ...], name: str) -> Any:
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise RecordError(f"{name} is of type {type(value).__name__}: see the fields in labels/README.md")
    return value


def _label(value: Any) -> Label:
    if value not in LABELS:
        raise RecordError(f"unknown label {value!r}: use one of {', '.join(LABELS)}")
    return Label(value)


def parse_segments(items: Iterable[Mapping[str, Any]], text: str) -> tuple[LabelledSegment, ...]:
    """Read the JSON form of segments; offsets are left to :func:`annotator.dataset.check`.

    Raises:
        RecordError: a segment that is none; names its place in the list.
    """
    segments = []
    for index, item in enumerate(items):
        try:
            segments.append(_parse_segment(item, text))
        except RecordError as error:
            raise RecordError(f"segment {index}: {error}") from error
    return tuple(segments)


def _parse_segment(item: Mapping[str, Any], text: str) -> LabelledSegment:
    unverified = item.get("unverified")
    if not (unverified is None or isinstance(unverified, bool)):
        raise RecordError(f"unverified {unverified!r}: use true, false or null")
    also = item.get("also")
    if isinstance(also, list):  # the form of pages read twice: a list of one label
        if len(also) != 1:
            raise RecordError(f"also holds {len(also)} labels: one second label a segment")
        also = also[0]
    return LabelledSegment(
        span=Span(*(_of_type(item[key], int, key) for key in ("start", "end"))),
        label=_label(item["label"]),
        attribution=_parse_attribution(item.get("attribution"), text),
        unverified=unverified,
        also=None if also is None else _label(also),
    )


def _parse_attribution(given: Mapping[str, Any] | None, text: str) -> Attribution | None:
    if given is None:
        return None
    if (kind := given.get("source_type")) not in (*SOURCE_TYPES, None):
        raise RecordError(f"unknown source_type {kind!r}: use one of {', '.join(SOURCE_TYPES)}")
    _of_type(given.get("source_segment"), (int, type(None)), "source_segment")
    attribution = parse_attribution(given)
    assert attribution is not None
    for name, span in attribution_spans(attribution):
        for end in (span.start, span.end):
            _of_type(end, int, f"an offset of {name}")
        if isinstance(given[name], Mapping) and given[name].get("text") not in (None, span.of(text)):
            raise RecordError(f"{name} [{span.start}, {span.end}): its 'text' is not what stands there: fix either")
    return attribution


def attribution_spans(attribution: Attribution) -> list[tuple[str, Span]]:
    """Return the spans that the attribution holds, each with the name of its field."""
    names = ("source", "cue", "antecedent", "anonymity_reason")
    return [(name, span) for name in names if (span := getattr(attribution, name)) is not None]


def _attribution_dict(value: Attribution, text: str) -> dict[str, Any]:
    spans = {name: {"start": s.start, "end": s.end, "text": s.of(text)} for name, s in attribution_spans(value)}
    return {
        "source": spans.get("source"),
        "cue": spans.get("cue"),
        "source_type": None if value.source_type is None else str(value.source_type),
        "source_segment": value.source_segment,
        "antecedent": spans.get("antecedent"),
        "anonymity_reason": spans.get("anonymity_reason"),
    }


def _segment_dict(seg: LabelledSegment, text: str) -> dict[str, Any]:
    return {
        "start": seg.span.start,
        "end": seg.span.end,
        "label": str(seg.label),
        "attribution": None if seg.attribution is None else _attribution_dict(seg.attribution, text),
        "unverified": seg.unverified,
        "also": None if seg.also is None else str(seg.also),
    }


def _annotation_dict(item: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Return an annotation with every key, known ones first; its segments also carry their ``origin``."""
    for key in ("task_id", "annotation_id"):
        try:
            int(item.get(key) or 0)
        except (TypeError, ValueError) as error:
            raise RecordError(f"annotation: {key} {item[key]!r}: use a number or null") from error
    for pair in item.get("discuss") or ():
        if not (isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(end, int) for end in pair)):
            raise RecordError(f"annotation: discuss {pair!r}: use [start, end]")
    record: dict[str, Any] = {key: item.get(key) for key in _ANNOTATION_KEYS}
    record["segments"] = [
        _segment_dict(_parse_segment(seg, text), text) | {"origin": seg.get("origin")}
        for seg in item.get("segments") or ()
    ]
    return record | {key: item[key] for key in sorted(item) if key not in record}


def read_pages(*paths: Path) -> list[LabelledPage]:
    """Read labelled pages, in order; a folder stands for its ``*.jsonl`` and ``*.jsonl.gz``, sorted by name.

    Raises:
        InputError: a path cannot be read, or a folder has no such file.
        RecordError: a line is not a labelled page, or an article_id comes twice; names file and line.
    """
    pages: list[LabelledPage] = []
    for item in read_items(paths):
        if isinstance(item, RecordError):
            raise item
        pages.append(item)
    return pages


def read_items(paths: Iterable[Path]) -> Iterator[LabelledPage | RecordError]:
    """Yield each page of ``paths``, or the error in its place, so that a caller may list them all.

    Raises:
        InputError: a path cannot be read, or a folder has no ``*.jsonl``.
    """
    seen: dict[str, str] = {}
    for path in (file for given in paths for file in _files(Path(given))):
        for number, line in _lines(path):
            where = f"{path}:{number}"
            try:
                page = _parse_line(line, where)
                key = page.article.article_id
                if key not in seen:
                    seen[key] = where
                    yield page
                else:
                    yield RecordError(f"{where}: article_id {key!r} is already at {seen[key]}: drop one")
            except RecordError as error:
                yield error


def _parse_line(line: bytes, where: str) -> LabelledPage:
    try:
        record = json.loads(line.decode())
    except (ValueError, RecursionError) as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise RecordError(f"{where}: not JSON in UTF-8: {error}") from error
    if not isinstance(record, dict):
        raise RecordError(f"{where}: a page is a JSON object, this is {type(record).__name__}")
    return LabelledPage.from_dict(record, where=where)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.name.endswith((".jsonl", ".jsonl.gz")))
    if not files:
        raise InputError(f"{path}: the folder holds no *.jsonl file: name a file or another folder")
    return files


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    # Bytes split at \n alone: str.splitlines would also cut at U+2028, which JSON strings may hold.
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    yield number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file or folder: check the path") from error
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read after line {number}: {error}") from error


def write_pages(pages: Iterable[LabelledPage], path: Path) -> None:
    """Write pages as JSONL in the order given; the same pages give the same bytes, whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=f".{path.name}.", delete=False) as stream:
            temporary = Path(stream.name)
            with gzip.GzipFile("", "wb", fileobj=stream, mtime=0) if path.suffix == ".gz" else stream as out:
                for page in pages:
                    out.write(_line(page))
        temporary.chmod(0o644)  # a temporary file is its owner's alone
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _line(page: LabelledPage) -> bytes:
    record = page.to_dict()
    line = json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n"
    try:
        return line.encode()
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8 form, but a JSON escape
        return (json.dumps(record, separators=(",", ":")) + "\n").encode()
