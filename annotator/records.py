"""Values that travel through the library: articles, segments, attributions, scored articles.

Offsets are Python ``str`` indices into the article's text, end exclusive, everywhere. The JSON form of
:class:`ScoredArticle` is the contract other tools rely on (schema 1, see docs/schema.md); readers
ignore keys they do not know.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, cast

from annotator.errors import RecordError, reason

SCHEMA_VERSION = 1

Role = Literal["headline", "body"]


class Label(StrEnum):
    """Whose voice a segment is (labels/GUIDE.md); the order is the order of the model's logits."""

    REPORTED_CLAIM = "reported_claim"
    ATTRIBUTED_QUOTE = "attributed_quote"
    EDITORIAL_FRAMING = "editorial_framing"
    BOILERPLATE = "boilerplate"


class SourceType(StrEnum):
    """What kind of source speaks; the order is the order of the model's logits."""

    PERSON = "person"
    ORGANISATION = "organisation"
    DOCUMENT = "document"
    MEDIA = "media"
    ANONYMOUS = "anonymous"


LABELS: tuple[Label, ...] = tuple(Label)
SOURCE_TYPES: tuple[SourceType, ...] = tuple(SourceType)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the article's text: ``text[start:end]``, with 0 <= start < end."""

    start: int
    end: int

    def __post_init__(self) -> None:
        """Refuse a span that is empty, reversed or negative."""
        if not 0 <= self.start < self.end:
            raise RecordError(f"span [{self.start}, {self.end}): needs 0 <= start < end")

    def of(self, text: str) -> str:
        """Return the characters of ``text`` that the span covers."""
        return text[self.start : self.end]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """Who says what a segment holds; every field may be absent.

    ``source`` and ``cue`` lie inside their segment; ``antecedent`` may lie elsewhere;
    ``source_segment`` is the index of the segment from which a source is carried forward.
    """

    source: Span | None = None
    cue: Span | None = None
    source_type: SourceType | None = None
    source_segment: int | None = None
    antecedent: Span | None = None
    anonymity_reason: Span | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Article:
    """One page as it was read; ``text`` is never altered afterwards.

    ``warnings`` are one-line remarks of the reader (for instance on the language or the encoding).
    """

    article_id: str
    text: str
    outlet: str | None = None
    url: str | None = None
    title: str | None = None
    date: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def text_sha256(self) -> str:
        """SHA-256 of the text in UTF-8, in hex (lone surrogates are kept with ``surrogatepass``)."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredSegment:
    """A segment with its label.

    ``probabilities`` has one entry a label and sums to 1 within rounding; ``confidence`` is the calibrated
    probability of ``label``. ``unverified`` is None where nothing has judged it.
    """

    span: Span
    label: Label
    confidence: float
    probabilities: Mapping[Label, float]
    needs_review: bool
    role: Role | None = None
    unverified: bool | None = None
    attribution: Attribution | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredArticle:
    """An article with its scored segments, in order, disjoint, leaving out only white space."""

    article: Article
    model_version: str
    segments: tuple[ScoredSegment, ...]
    profile: Mapping[str, Any] | None = None

    def to_dict(self, *, lean: bool = False) -> dict[str, Any]:
        """Return the JSON form, schema 1; ``lean`` drops the texts of the article and its segments."""
        art = self.article
        text = art.text

        def span(value: Span | None) -> dict[str, Any] | None:
            if value is None:
                return None
            return {"start": value.start, "end": value.end, "text": value.of(text)}

        def attribution(value: Attribution | None) -> dict[str, Any] | None:
            if value is None:
                return None
            return {
                "source": span(value.source),
                "cue": span(value.cue),
                "source_type": value.source_type,
                "source_segment": value.source_segment,
                "antecedent": span(value.antecedent),
                "anonymity_reason": span(value.anonymity_reason),
            }

        record: dict[str, Any] = {
            "schema": SCHEMA_VERSION,
            "article_id": art.article_id,
            "outlet": art.outlet,
            "url": art.url,
            "title": art.title,
            "date": art.date,
            "text": text,
            "text_sha256": art.text_sha256,
            "model_version": self.model_version,
            "segments": [
                {
                    "start": seg.span.start,
                    "end": seg.span.end,
                    "text": seg.span.of(text),
                    "role": seg.role,
                    "label": str(seg.label),
                    "confidence": seg.confidence,
                    "probabilities": {str(k): v for k, v in seg.probabilities.items()},
                    "needs_review": seg.needs_review,
                    "unverified": seg.unverified,
                    "attribution": attribution(seg.attribution),
                }
                for seg in self.segments
            ],
            "profile": self.profile,
            "warnings": list(art.warnings),
        }
        if lean:
            del record["text"]
            for item in record["segments"]:
                del item["text"]
        return record

    @classmethod
    def from_dict(cls, record: Mapping[str, Any], *, where: str = "record") -> ScoredArticle:
        """Build a scored article from its JSON form; unknown keys are ignored.

        Raises:
            RecordError: the record is lean (it has no text), misses a key, or breaks the schema;
                ``where`` (file and line) opens the message.
        """
        if "text" not in record:
            raise RecordError(f"{where}: the record has no 'text' (written with --lean?): score again without --lean")
        try:
            if record["schema"] != SCHEMA_VERSION:
                raise RecordError(f"{where}: schema {record['schema']!r}, this version reads {SCHEMA_VERSION}")
            text = record["text"]
            article = Article(
                article_id=record["article_id"],
                text=text,
                outlet=record.get("outlet"),
                url=record.get("url"),
                title=record.get("title"),
                date=record.get("date"),
                warnings=tuple(record.get("warnings") or ()),
            )
            if record.get("text_sha256", article.text_sha256) != article.text_sha256:
                raise RecordError(f"{where}: text_sha256 does not match the text: the text was altered")
            segments = tuple(
                ScoredSegment(
                    span=Span(item["start"], item["end"]),
                    label=Label(item["label"]),
                    confidence=item["confidence"],
                    probabilities={Label(k): v for k, v in item["probabilities"].items()},
                    needs_review=item["needs_review"],
                    role=cast("Role | None", item.get("role")),
                    unverified=item.get("unverified"),
                    attribution=parse_attribution(item.get("attribution")),
                )
                for item in record["segments"]
            )
            scored = cls(
                article=article,
                model_version=record["model_version"],
                segments=segments,
                profile=record.get("profile"),
            )
        except RecordError as error:
            message = str(error)
            raise RecordError(message if message.startswith(where) else f"{where}: {message}") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RecordError(f"{where}: not a scored article of schema {SCHEMA_VERSION}: {reason(error)}") from error
        check_spans(text, [s.span for s in segments], where=where)
        return scored


def parse_attribution(value: Mapping[str, Any] | None) -> Attribution | None:
    """Build an attribution from its JSON form; a span is ``{"start", "end"}`` or ``[start, end]``."""
    if value is None:
        return None

    def span(item: Any) -> Span | None:
        if item is None:
            return None
        if isinstance(item, Mapping):
            return Span(item["start"], item["end"])
        start, end = item
        return Span(start, end)

    kind = value.get("source_type")
    return Attribution(
        source=span(value.get("source")),
        cue=span(value.get("cue")),
        source_type=None if kind is None else SourceType(kind),
        source_segment=value.get("source_segment"),
        antecedent=span(value.get("antecedent")),
        anonymity_reason=span(value.get("anonymity_reason")),
    )


def check_spans(text: str, spans: Sequence[Span], *, where: str) -> None:
    """Check that the spans are disjoint, in order, and leave out only white space.

    Raises:
        RecordError: the first break, with its offsets.
    """
    last = 0
    for span in spans:
        if span.start < last:
            raise RecordError(f"{where}: segment [{span.start}, {span.end}) overlaps or precedes the one before it")
        if span.end > len(text):
            raise RecordError(
                f"{where}: segment [{span.start}, {span.end}) ends past the text ({len(text)} characters)"
            )
        if text[last : span.start].strip():
            raise RecordError(f"{where}: characters [{last}, {span.start}) are not white space and in no segment")
        last = span.end
    if text[last:].strip():
        raise RecordError(f"{where}: characters [{last}, {len(text)}) are not white space and in no segment")
