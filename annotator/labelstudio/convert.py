r"""Scored articles to Label Studio tasks and predictions: pure, at the same offsets.

Label Studio counts code points, as Python does, but shows ``\r\n`` as two breaks and cannot store some characters.
Those are replaced one for one before sending; what stood there travels beside the text (``altered``), so that a
pull restores the article and checks both digests.

A region id states what was predicted: kind, offsets, a digest of the segment, model version. A pull can therefore
tell a region that was kept from one that was changed or drawn, also after the prediction has been pruned.

What one segment takes from another is a relation, an arrow: from a pronoun's mark to that of the name it stands for,
and from a segment without a source to the mark of the source that is carried to it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, unquote

from annotator.errors import RecordError
from annotator.labelstudio.config import (
    ANONYMITY,
    CUE,
    KIND,
    LABEL,
    MARK,
    NEEDS_REVIEW,
    REVIEW,
    SOURCE,
    TEXT,
    UNVERIFIED,
)
from annotator.records import Article, Attribution, Label, ScoredArticle, ScoredSegment, SourceType, Span, check_spans

CODES: Mapping[str, str] = {
    Label.REPORTED_CLAIM: "r",
    Label.ATTRIBUTED_QUOTE: "q",
    Label.EDITORIAL_FRAMING: "f",
    Label.BOILERPLATE: "b",
    SOURCE: "s",
    CUE: "c",
    ANONYMITY: "a",
}
BLIND = "blind"  # in a task's data: its prediction is not shown (push --blind)
_REGION_ID = re.compile(r"([rqfbsca])(\d+)-(\d+)-([0-9a-f]{8})-(.*)\Z", re.DOTALL)
# What a browser or a database does not keep: NUL, lone surrogates. Line ends: see shown_text.
_UNKEPT = re.compile("[\0\ud800-\udfff]")
_STRINGS = ("article_id", "text", "text_sha256", "sent_sha256")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionId:
    """What the id of a predicted region states; ``digest`` is of the whole segment (or of the mark)."""

    code: str
    span: Span
    digest: str
    model_version: str

    def __str__(self) -> str:
        version = quote(self.model_version, safe="")
        return f"{self.code}{self.span.start}-{self.span.end}-{self.digest}-{version}"

    @classmethod
    def parse(cls, value: str) -> RegionId | None:
        """Return what an id states; None for one that Label Studio made (a region drawn by hand)."""
        match = _REGION_ID.match(value)
        if match is None or int(match[2]) >= int(match[3]):
            return None
        span = Span(int(match[2]), int(match[3]))
        return cls(code=match[1], span=span, digest=match[4], model_version=unquote(match[5]))


def shown_text(text: str) -> str:
    r"""Return the text as it is sent: of the same length, without ``\r`` and without what would not come back.

    ``\r`` of ``\r\n`` becomes a space, a lone ``\r`` becomes ``\n``, NUL and lone surrogates U+FFFD.
    """
    shown = text.replace("\r\n", " \n").replace("\r", "\n")
    return _UNKEPT.sub("\ufffd", shown)


def altered_characters(text: str) -> dict[str, list[int]]:
    """Return where :func:`shown_text` differs: code point (decimal, as JSON keys are) to positions."""
    altered: dict[str, list[int]] = {}
    for match in re.finditer("[\r\0\ud800-\udfff]", text):
        altered.setdefault(str(ord(match[0])), []).append(match.start())
    return altered


def restored_text(shown: str, altered: Mapping[str, Sequence[int]]) -> str:
    """Undo :func:`shown_text`.

    Raises:
        RecordError: a position outside the text, or no code point.
    """
    characters = list(shown)
    try:
        for code, places in altered.items():
            for place in places:
                characters[place] = chr(int(code))
    except (IndexError, ValueError, TypeError, OverflowError, AttributeError) as error:
        raise RecordError(f"'altered' does not fit the text of the task: {error!r}") from error
    return "".join(characters)


def sha256(text: str) -> str:
    """Return the SHA-256 of a text, in hex, as :attr:`annotator.records.Article.text_sha256` has it."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def task_data(article: Article) -> dict[str, Any]:
    """Return the ``data`` of the task that shows an article.

    Raises:
        RecordError: there is nothing in it to annotate.
    """
    if not article.text.strip():
        raise RecordError(f"article {article.article_id!r}: no text to annotate: leave it out")
    if not article.article_id or article.article_id != shown_text(article.article_id):
        raise RecordError(f"article {article.article_id!r}: the id is empty or holds control characters: rename it")
    shown = shown_text(article.text)
    fields = {name: shown_text(getattr(article, name) or "") for name in ("title", "outlet", "url", "date")}
    return {
        "article_id": article.article_id,
        "text": shown,
        **fields,
        "text_sha256": article.text_sha256,
        "sent_sha256": sha256(shown),
        "altered": altered_characters(article.text),
    }


def article_of(data: Mapping[str, Any]) -> Article:
    """Return the article that a task shows, as it was before sending, both digests checked.

    Raises:
        RecordError: a field is missing, or the text is not what was sent or not what was read.
    """
    for name in _STRINGS:
        if not isinstance(data.get(name), str):
            raise RecordError(f"the task's data has no {name!r}: it was not pushed by annotator, or was edited")
    altered = data.get("altered") or {}
    if sha256(data["text"]) != data["sent_sha256"]:
        raise RecordError("the task's text is not what was sent (sent_sha256): it was edited on the server")
    if not isinstance(altered, Mapping):
        raise RecordError("the task's 'altered' is not an object: it was edited on the server")
    text = restored_text(data["text"], altered)
    if sha256(text) != data["text_sha256"]:
        raise RecordError("the article's text cannot be restored (text_sha256): 'altered' was edited on the server")
    fields = {name: str(data.get(name) or "") or None for name in ("title", "outlet", "url", "date")}
    return Article(
        article_id=data["article_id"],
        text=text,
        title=fields["title"],
        outlet=fields["outlet"],
        url=fields["url"],
        date=fields["date"],
    )


def trimmed(text: str, start: int, end: int) -> Span | None:
    """Return the span without white space at its ends; None where nothing is left."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return Span(start, end) if start < end else None


def segment_digest(
    span: Span, label: str, attribution: Attribution | None, *, unverified: bool | None, carried: Span | None = None
) -> str:
    """Return eight hex digits that stand for what people can see and change of a segment.

    ``carried`` is the source, in another segment, that this one takes. What came to be sent later than the first
    predictions counts only where it is there, so that their digests stay as they are.
    """
    said = attribution or Attribution()

    def ends(mark: Span | None) -> list[int] | None:
        return None if mark is None else [mark.start, mark.end]

    kind = None if said.source_type is None else str(said.source_type)
    stated = [span.start, span.end, str(label), [ends(said.source), ends(said.cue)], kind, unverified]
    later = [ends(said.anonymity_reason), ends(said.antecedent), ends(carried)]
    return _digest([*stated, later] if any(later) else stated)


def mark_digest(span: Span, mark: str, kind: SourceType | None) -> str:
    """Return eight hex digits that stand for a source or a cue and the kind of source chosen on it."""
    return _digest([span.start, span.end, mark, None if kind is None else str(kind)])


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:8]


def prediction(scored: ScoredArticle) -> dict[str, Any]:
    """Return the prediction of a task: a region a segment, with its marks and choices, checked.

    Segments that need review come first, so that they head the list of regions beside the text.

    The score of the prediction is the mean confidence of its segments: low scores come first in the review order.

    Raises:
        RecordError: a span, a score or an attribution that Label Studio would drop without a word.
    """
    art = scored.article
    where = f"article {art.article_id!r}"
    if not scored.model_version:
        raise RecordError(f"{where}: has no model_version: score it again")
    check_spans(art.text, [seg.span for seg in scored.segments], where=where)
    shown = shown_text(art.text)
    first: list[dict[str, Any]] = []
    rest: list[dict[str, Any]] = []
    arrows: list[dict[str, Any]] = []
    keys = _region_ids(scored)
    scores = []
    for index, seg in enumerate(scored.segments):
        span = trimmed(art.text, seg.span.start, seg.span.end)
        if span is None:
            continue
        try:
            (first if seg.needs_review else rest).extend(_segment_results(seg, keys[index], shown))
            arrows.extend(_arrows(index, scored, keys))
        except RecordError as error:
            raise RecordError(f"{where}: segment {index} {error}") from error
        scores.append(seg.confidence)
    score = round(sum(scores) / len(scores), 4) if scores else 0.0
    return {"model_version": scored.model_version, "score": score, "result": first + rest + arrows}


def _region_ids(scored: ScoredArticle) -> list[dict[str, RegionId]]:
    """Return the ids of the regions of each segment: its own under its label, its marks' under their names."""
    ids: list[dict[str, RegionId]] = []
    version = scored.model_version
    for seg in scored.segments:
        span = trimmed(scored.article.text, seg.span.start, seg.span.end) or seg.span
        marks, kind = _marks(seg)
        seen = _seen(seg)
        digest = segment_digest(span, seg.label, seen, unverified=seg.unverified, carried=_carried(seg, scored))
        own = {seg.label.value: RegionId(code=CODES[seg.label], span=span, digest=digest, model_version=version)}
        for name, mark in marks.items():
            chosen = kind.get(name)
            own[name] = RegionId(
                code=CODES[name], span=mark, digest=mark_digest(mark, name, chosen), model_version=version
            )
        ids.append(own)
    return ids


def _marks(seg: ScoredSegment) -> tuple[dict[str, Span], dict[str, SourceType]]:
    """Return the marks of a segment and the one that its kind of source is chosen on: the source, or else the cue."""
    said = seg.attribution or Attribution()
    given = ((SOURCE, said.source), (CUE, said.cue), (ANONYMITY, said.anonymity_reason))
    marks = {name: mark for name, mark in given if mark is not None}
    bearer = next((name for name in (SOURCE, CUE) if name in marks), None)
    return marks, {} if bearer is None or said.source_type is None else {bearer: said.source_type}


def _seen(seg: ScoredSegment) -> Attribution:
    """Return what of an attribution can be shown: a kind has no place without a source or a cue."""
    said = seg.attribution or Attribution()
    return said if _marks(seg)[1] else replace(said, source_type=None)


def _carried(seg: ScoredSegment, scored: ScoredArticle) -> Span | None:
    if seg.attribution is None or seg.attribution.source_segment is None:
        return None
    target = seg.attribution.source_segment
    held = scored.segments[target].attribution if 0 <= target < len(scored.segments) else None
    if held is None or held.source is None:
        place = f"article {scored.article.article_id!r}: segment [{seg.span.start}, {seg.span.end})"
        raise RecordError(f"{place}: source_segment {target} is no segment that holds a source: score it again")
    return held.source


def _segment_results(seg: ScoredSegment, keys: Mapping[str, RegionId], shown: str) -> list[dict[str, Any]]:
    key = keys[seg.label.value]
    span = key.span
    if not 0 <= seg.confidence <= 1:
        raise RecordError(f"[{span.start}, {span.end}): confidence {seg.confidence} is not in 0..1")
    marks, kinds = _marks(seg)
    for name, mark in marks.items():
        if not (span.start <= mark.start and mark.end <= span.end):
            raise RecordError(f"[{span.start}, {span.end}): {name} [{mark.start}, {mark.end}) lies outside it")
    items = [_result(key, LABEL, "labels", seg.label, shown) | {"score": seg.confidence}]
    if seg.needs_review:
        items.append(_result(key, REVIEW, "labels", NEEDS_REVIEW, shown))
    if seg.unverified is not None:
        items.append(_result(key, UNVERIFIED, "choices", "yes" if seg.unverified else "no", shown))
    for name in marks:
        items.append(_result(keys[name], MARK, "labels", name, shown))
        if name in kinds:
            items.append(_result(keys[name], KIND, "choices", kinds[name], shown))
    return items


def _arrows(index: int, scored: ScoredArticle, keys: Sequence[Mapping[str, RegionId]]) -> list[dict[str, Any]]:
    seg = scored.segments[index]
    said = seg.attribution
    if said is None:
        return []
    arrows = []
    if said.source_segment is not None:
        arrows.append((keys[index][seg.label.value], keys[said.source_segment][SOURCE]))
    if said.antecedent is not None and SOURCE in keys[index]:
        name = next((own[SOURCE] for own in keys if SOURCE in own and own[SOURCE].span == said.antecedent), None)
        if name is not None:
            arrows.append((keys[index][SOURCE], name))
    return [
        {"type": "relation", "from_id": str(one), "to_id": str(other), "direction": "right"} for one, other in arrows
    ]


def _result(key: RegionId, control: str, kind: str, stored: str, shown: str) -> dict[str, Any]:
    span = key.span
    value = {"start": span.start, "end": span.end, "text": span.of(shown), kind: [str(stored)]}
    return {"id": str(key), "from_name": control, "to_name": TEXT, "type": kind, "value": value}
