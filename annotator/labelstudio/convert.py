r"""Scored articles to Label Studio tasks and predictions: pure, at the same offsets.

Label Studio counts code points, as Python does, but shows ``\r\n`` as two breaks and cannot store some characters.
Those are replaced one for one before sending; what stood there travels beside the text (``altered``), so that a
pull restores the article and checks both digests.

A region id states what was predicted: kind, offsets, a digest of the segment, model version. A pull can therefore
tell a region that was kept from one that was changed or drawn, also after the prediction has been pruned.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from annotator.errors import RecordError
from annotator.labelstudio.config import CUE, KIND, LABEL, MARK, NEEDS_REVIEW, REVIEW, SOURCE, TEXT, UNVERIFIED
from annotator.records import Article, Attribution, Label, ScoredArticle, ScoredSegment, SourceType, Span, check_spans

CODES: Mapping[str, str] = {
    Label.REPORTED_CLAIM: "r",
    Label.ATTRIBUTED_QUOTE: "q",
    Label.EDITORIAL_FRAMING: "f",
    Label.BOILERPLATE: "b",
    SOURCE: "s",
    CUE: "c",
}
BLIND = "blind"  # in a task's data: its prediction is not shown (push --blind)
_REGION_ID = re.compile(r"([rqfbsc])(\d+)-(\d+)-([0-9a-f]{8})-(.*)\Z", re.DOTALL)
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


def segment_digest(span: Span, label: str, attribution: Attribution | None, *, unverified: bool | None) -> str:
    """Return eight hex digits that stand for what people can see and change of a segment."""
    said = attribution or Attribution()
    marks = [None if s is None else [s.start, s.end] for s in (said.source, said.cue)]
    kind = None if said.source_type is None else str(said.source_type)
    return _digest([span.start, span.end, str(label), marks, kind, unverified])


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
    scores = []
    for index, seg in enumerate(scored.segments):
        span = trimmed(art.text, seg.span.start, seg.span.end)
        if span is None:
            continue
        try:
            (first if seg.needs_review else rest).extend(_segment_results(seg, span, shown, scored.model_version))
        except RecordError as error:
            raise RecordError(f"{where}: segment {index} {error}") from error
        scores.append(seg.confidence)
    score = round(sum(scores) / len(scores), 4) if scores else 0.0
    return {"model_version": scored.model_version, "score": score, "result": first + rest}


def _segment_results(seg: ScoredSegment, span: Span, shown: str, version: str) -> list[dict[str, Any]]:
    if not 0 <= seg.confidence <= 1:
        raise RecordError(f"[{span.start}, {span.end}): confidence {seg.confidence} is not in 0..1")
    said = seg.attribution or Attribution()
    marks = {name: mark for name, mark in ((SOURCE, said.source), (CUE, said.cue)) if mark is not None}
    for name, mark in marks.items():
        if not (span.start <= mark.start and mark.end <= span.end):
            raise RecordError(f"[{span.start}, {span.end}): {name} [{mark.start}, {mark.end}) lies outside it")
    kind = said.source_type if marks else None  # without a mark there is no region to choose it on
    seen = Attribution(source=said.source, cue=said.cue, source_type=kind) if marks else None
    digest = segment_digest(span, seg.label, seen, unverified=seg.unverified)
    key = RegionId(code=CODES[seg.label], span=span, digest=digest, model_version=version)
    items = [_result(key, LABEL, "labels", seg.label, shown) | {"score": seg.confidence}]
    if seg.needs_review:
        items.append(_result(key, REVIEW, "labels", NEEDS_REVIEW, shown))
    if seg.unverified is not None:
        items.append(_result(key, UNVERIFIED, "choices", "yes" if seg.unverified else "no", shown))
    for name, mark in marks.items():
        chosen, kind = kind, None  # on the source, or on the cue where there is no source
        mark_key = RegionId(code=CODES[name], span=mark, digest=mark_digest(mark, name, chosen), model_version=version)
        items.append(_result(mark_key, MARK, "labels", name, shown))
        if chosen is not None:
            items.append(_result(mark_key, KIND, "choices", chosen, shown))
    return items


def _result(key: RegionId, control: str, kind: str, stored: str, shown: str) -> dict[str, Any]:
    span = key.span
    value = {"start": span.start, "end": span.end, "text": span.of(shown), kind: [str(stored)]}
    return {"id": str(key), "from_name": control, "to_name": TEXT, "type": kind, "value": value}
