"""What a profile needs to know of an article: a few facts of each segment, from a record with or without its text.

Lean records are enough: the texts of sources and antecedents stay in them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from annotator.anonymity import states_reason
from annotator.errors import RecordError, reason
from annotator.records import SCHEMA_VERSION, Article, Attribution, Label, Role, ScoredArticle, SourceType, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentFacts:
    """One segment: its label and place, its length in characters, and who is said to speak.

    ``source`` is the text of the source, its own or the one carried to it, or of what its pronoun stands for
    (``resolved`` is then set). ``attributed`` is wider than ``sourced``: a cue alone is enough. ``explained``: the
    words on anonymity give a reason for it, and do not only ask for it.
    """

    label: Label
    length: int
    role: Role | None = None
    attributed: bool = False
    sourced: bool = False
    source: str | None = None
    source_type: SourceType | None = None
    resolved: bool = False
    explained: bool = False
    unverified: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArticleFacts:
    """An article as a profile sees it."""

    article_id: str
    outlet: str | None
    model_version: str
    segments: tuple[SegmentFacts, ...]


class Marked(Protocol):
    """A segment with a label and marks: a scored one or a labelled one."""

    @property
    def span(self) -> Span:
        """Where it stands."""

    @property
    def label(self) -> Label:
        """Whose voice it is."""

    @property
    def attribution(self) -> Attribution | None:
        """Who says it."""

    @property
    def unverified(self) -> bool | None:
        """Whether it holds its claim at a distance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    """An attribution with texts in the place of spans."""

    source: str | None
    cue: bool
    source_type: SourceType | None
    source_segment: int | None
    antecedent: str | None
    explained: bool


def article_facts(scored: ScoredArticle) -> ArticleFacts:
    """Return the facts of a scored article."""
    return ArticleFacts(
        article_id=scored.article.article_id,
        outlet=scored.article.outlet,
        model_version=scored.model_version,
        segments=segment_facts(scored.article, scored.segments, [segment.role for segment in scored.segments]),
    )


def segment_facts(
    article: Article, segments: Sequence[Marked], roles: Sequence[Role | None] | None = None
) -> tuple[SegmentFacts, ...]:
    """Return the facts of marked segments of an article, scored or labelled by people."""
    text = article.text

    def mark(said: Attribution | None) -> _Mark | None:
        if said is None:
            return None
        return _Mark(
            source=None if said.source is None else said.source.of(text),
            cue=said.cue is not None,
            source_type=said.source_type,
            source_segment=said.source_segment,
            antecedent=None if said.antecedent is None else said.antecedent.of(text),
            explained=said.anonymity_reason is not None and states_reason(said.anonymity_reason.of(text)),
        )

    marks = [mark(segment.attribution) for segment in segments]
    return tuple(
        _facts(
            marks,
            index,
            label=segment.label,
            length=segment.span.end - segment.span.start,
            role=None if roles is None else roles[index],
            unverified=segment.unverified,
        )
        for index, segment in enumerate(segments)
    )


def record_facts(record: Mapping[str, Any], *, where: str = "record") -> ArticleFacts:
    """Return the facts of a record as JSON has it, lean or not.

    Raises:
        RecordError: the record breaks the schema; ``where`` opens the message.
    """
    try:
        if record["schema"] != SCHEMA_VERSION:
            raise RecordError(f"{where}: schema {record['schema']!r}, this version reads {SCHEMA_VERSION}")
        items = record["segments"]
        marks = [_mark_of(item.get("attribution")) for item in items]
        return ArticleFacts(
            article_id=record["article_id"],
            outlet=record.get("outlet"),
            model_version=record["model_version"],
            segments=tuple(
                _facts(
                    marks,
                    index,
                    label=Label(item["label"]),
                    length=item["end"] - item["start"],
                    role=cast("Role | None", item.get("role")),
                    unverified=item.get("unverified"),
                )
                for index, item in enumerate(items)
            ),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordError(f"{where}: not a scored article of schema {SCHEMA_VERSION}: {reason(error)}") from error


def _mark_of(value: Mapping[str, Any] | None) -> _Mark | None:
    if value is None:
        return None

    def text(name: str) -> str | None:
        span = value.get(name)
        return None if span is None else span["text"]

    kind = value.get("source_type")
    words = text("anonymity_reason")
    return _Mark(
        source=text("source"),
        cue=value.get("cue") is not None,
        source_type=None if kind is None else SourceType(kind),
        source_segment=value.get("source_segment"),
        antecedent=text("antecedent"),
        explained=words is not None and states_reason(words),
    )


def _facts(
    marks: Sequence[_Mark | None],
    index: int,
    *,
    label: Label,
    length: int,
    role: Role | None,
    unverified: bool | None,
) -> SegmentFacts:
    said = marks[index]
    if said is None or label not in {Label.REPORTED_CLAIM, Label.ATTRIBUTED_QUOTE}:
        return SegmentFacts(label=label, length=length, role=role, unverified=unverified)
    origin = _origin(marks, index)
    own = said.source is not None or said.antecedent is not None
    named = said if own else origin
    sourced = own or said.source_segment is not None
    return SegmentFacts(
        label=label,
        length=length,
        role=role,
        attributed=sourced or said.cue,
        sourced=sourced,
        source=named.antecedent or named.source,
        source_type=said.source_type or (named.source_type if sourced else None),
        resolved=named.antecedent is not None,
        explained=said.explained or named.explained,
        unverified=unverified,
    )


def _origin(marks: Sequence[_Mark | None], index: int) -> _Mark:
    """Follow a carried source to the segment that names it; a chain that breaks or turns ends where it stands."""
    seen = {index}
    while True:
        found = marks[index]
        assert found is not None
        following = found.source_segment
        if (
            found.source is not None
            or following is None
            or following in seen
            or not 0 <= following < len(marks)
            or marks[following] is None
        ):
            return found
        seen.add(following)
        index = following
