"""Regions of an annotation back to segments that cover the page: pure.

What people do by hand is mended where it is plain what they meant (a space too many, a bracket or the end of a word
left out) and refused where it is not. A refusal is a :class:`Refusal`; its reason goes to the quarantine file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from annotator.errors import RecordError
from annotator.labelstudio.config import (
    COMMENT,
    CUE,
    DISCUSS,
    KIND,
    LABEL,
    MARK,
    NOTE,
    REVIEW,
    SOURCE,
    UNVERIFIED,
)
from annotator.labelstudio.convert import RegionId, mark_digest, segment_digest, trimmed
from annotator.records import LABELS, SOURCE_TYPES, Attribution, Label, SourceType, Span

SPEAKING = (Label.REPORTED_CLAIM, Label.ATTRIBUTED_QUOTE)
_WORD = re.compile(r"\w+")
_OPENING = frozenset("«“„‘([{‹¿¡#@—–-•*·→>")


class Refusal(RecordError):  # noqa: N818 -- a reason why an annotation is not used, not a failure of the program
    """Why an annotation cannot be used, in one line, without the page's text."""


@dataclass(slots=True, kw_only=True)
class Region:
    """One region as people left it: its span (trimmed), and what stands on it."""

    key: str
    start: int
    end: int
    label: Label | None = None
    mark: str | None = None
    kind: SourceType | None = None
    unverified: bool | None = None
    discuss: bool = False
    review: bool = False
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSegment:
    """A segment as an annotator left it; ``origin`` is drawn, kept or changed."""

    span: Span
    label: Label
    attribution: Attribution | None
    unverified: bool | None
    origin: str
    discuss: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadResult:
    """The result of an annotation, read: segments in order, comment, predictions it started from.

    ``marks_dropped`` counts predicted marks, untouched, on a segment whose new label takes none.
    """

    segments: tuple[ReadSegment, ...]
    comment: str | None
    model_versions: tuple[str, ...]
    marks_dropped: int


def read_result(result: Sequence[Mapping[str, Any]], shown: str) -> ReadResult:
    """Read the result of an annotation of the text ``shown`` (as it was sent).

    Raises:
        Refusal: the reason, with offsets.
    """
    regions, comments = _regions(result, shown)
    segments = _covering([r for r in regions if r.label is not None], shown)
    marks: dict[int, list[Region]] = {}
    for region in regions:
        if region.mark is not None:
            marks.setdefault(_holder(region, segments), []).append(region)
        elif region.label is None and (region.kind or region.notes or region.discuss):
            raise Refusal(f"region [{region.start}, {region.end}) has a remark or a choice but no label: label it")
    read, dropped = [], 0
    for index, region in enumerate(segments):
        segment, lost = _segment(region, marks.get(index, []))
        read.append(segment)
        dropped += lost
    known = [parsed.model_version for r in regions if (parsed := RegionId.parse(r.key)) is not None]
    versions = sorted(set(known), key=lambda version: (-known.count(version), version))
    return ReadResult(
        segments=tuple(read),
        comment="\n".join(comments) or None,
        model_versions=tuple(versions),
        marks_dropped=dropped,
    )


# --- results to regions ------------------------------------------------------------------------------------------


def _regions(result: Sequence[Mapping[str, Any]], shown: str) -> tuple[list[Region], list[str]]:
    regions: dict[str, Region] = {}
    comments: list[str] = []
    for item in result:
        control, value = item.get("from_name"), item.get("value")
        if control not in (LABEL, MARK, REVIEW, KIND, UNVERIFIED, DISCUSS, NOTE, COMMENT):
            continue  # relations, and controls that somebody added to the project
        if not isinstance(value, Mapping):
            raise Refusal(f"a result of {control!r} has no value: delete that region and draw it again")
        entries = _entries(item, value)
        if control == COMMENT:
            comments += entries
            continue
        region = _region(item, value, shown, regions)
        if region is not None:
            _apply(region, str(control), entries)
    return list(regions.values()), comments


def _entries(item: Mapping[str, Any], value: Mapping[str, Any]) -> list[str]:
    found = value.get("text") if item.get("type") == "textarea" else value.get(str(item.get("type")))
    if isinstance(found, str):
        return [found]
    return [str(entry) for entry in found] if isinstance(found, list) else []


def _region(item: Mapping[str, Any], value: Mapping[str, Any], shown: str, regions: dict[str, Region]) -> Region | None:
    start, end = value.get("start"), value.get("end")
    if not (isinstance(start, int) and isinstance(end, int)) or isinstance(start, bool) or isinstance(end, bool):
        raise Refusal(f"a region of {item.get('from_name')!r} has offsets {start!r}, {end!r}: draw it again")
    if not 0 <= start < end <= len(shown):
        raise Refusal(f"region [{start}, {end}) is reversed, empty or outside the text of {len(shown)} characters")
    text = value.get("text")
    if item.get("type") != "textarea" and isinstance(text, str) and not _same(text, shown[start:end]):
        raise Refusal(f"region [{start}, {end}): its text is not what stands there: the offsets have shifted")
    span = trimmed(shown, start, end)
    if span is None:
        return None  # drawn over white space alone
    key = str(item.get("id"))
    region = regions.setdefault(key, Region(key=key, start=span.start, end=span.end))
    if (region.start, region.end) != (span.start, span.end):
        raise Refusal(f"region [{start}, {end}) shares its id with [{region.start}, {region.end}): draw one again")
    return region


def _same(given: str, found: str) -> bool:
    """Compare without white space: the browser writes line ends and the ends of a selection in its own way."""
    return given == found or "".join(given.replace("\\n", "\n").split()) == "".join(found.split())


def _apply(region: Region, control: str, entries: list[str]) -> None:
    place = f"region [{region.start}, {region.end})"
    if control == NOTE:
        region.notes += [entry for entry in entries if entry.strip()]
        return
    if control in (LABEL, MARK, KIND, UNVERIFIED) and len(entries) != 1:
        raise Refusal(f"{place}: {control} holds {len(entries)} values {entries}: choose one")
    entry = entries[0] if entries else ""
    if control == LABEL:
        if entry not in LABELS or region.label not in (None, entry):
            raise Refusal(f"{place}: label {entry!r} is unknown or the second one: use one of {', '.join(LABELS)}")
        region.label = Label(entry)
    elif control == MARK:
        if entry not in (SOURCE, CUE) or region.mark not in (None, entry):
            raise Refusal(f"{place}: mark {entry!r} is unknown or the second one: use source or cue")
        region.mark = entry
    elif control == KIND:
        if entry not in SOURCE_TYPES:
            raise Refusal(f"{place}: kind of source {entry!r}: use one of {', '.join(SOURCE_TYPES)}")
        region.kind = SourceType(entry)
    elif control == UNVERIFIED:
        if entry not in ("yes", "no"):
            raise Refusal(f"{place}: unverified {entry!r}: use yes or no")
        region.unverified = entry == "yes"
    elif control == DISCUSS:
        region.discuss = bool(entries)
    else:
        region.review = bool(entries)


# --- regions to segments -----------------------------------------------------------------------------------------


def _covering(regions: Iterable[Region], shown: str) -> list[Region]:
    """Put the regions in order, close gaps without a word in them, refuse overlaps and real gaps."""
    ordered = sorted(regions, key=lambda r: (r.start, r.end))
    if not ordered:
        raise Refusal("no segment is labelled: the annotation is empty")
    for before, after in pairwise(ordered):
        if after.start < before.end:
            overlap = shown[after.start : min(before.end, after.end)]
            if after.end <= before.end or _WORD.search(overlap):
                raise Refusal(
                    f"regions [{before.start}, {before.end}) and [{after.start}, {after.end}) overlap: delete one"
                )
            after.start = before.end
            _trim(after, shown)
    _close(None, ordered[0], shown)
    for before, after in pairwise(ordered):
        _close(before, after, shown)
    _close(ordered[-1], None, shown)
    return ordered


def _close(before: Region | None, after: Region | None, shown: str) -> None:
    low = 0 if before is None else before.end
    high = len(shown) if after is None else after.start
    if not shown[low:high].strip():
        return
    cut_low, cut_high = low, high
    if before is not None:  # the end of a word that the region begins
        cut_low = _word_end(shown, low, high)
    if after is not None and cut_low < high:  # the beginning of a word that the region ends
        cut_high = _word_start(shown, cut_low, high)
    pieces = shown[cut_low:cut_high].split("\n")
    lines = pieces[before is not None : len(pieces) - (after is not None)]  # those that no region shares
    if _WORD.search(shown, cut_low, cut_high) or any(line.strip() for line in lines[: None if len(pieces) > 1 else 0]):
        raise Refusal(f"characters [{low}, {high}) are in no segment: label them")
    middle = _border(shown, cut_low, cut_high, has_before=before is not None, has_after=after is not None)
    if before is not None:
        before.end = middle
        _trim(before, shown)
    if after is not None:
        after.start = middle
        _trim(after, shown)


def _word_end(shown: str, low: int, high: int) -> int:
    place = low
    if _is_word(shown, low - 1):
        while place < high and _is_word(shown, place):
            place += 1
    return place


def _word_start(shown: str, low: int, high: int) -> int:
    place = high
    if _is_word(shown, high):
        while place > low and _is_word(shown, place - 1):
            place -= 1
    return place


def _is_word(shown: str, place: int) -> bool:
    return 0 <= place < len(shown) and _WORD.match(shown[place]) is not None


def _border(shown: str, low: int, high: int, *, has_before: bool, has_after: bool) -> int:
    """Say where punctuation between two regions is cut: closing marks stay before, opening ones go after."""
    if not has_before:
        return low
    if not has_after:
        return high
    place = low
    while place < high and shown[place] not in _OPENING:
        if shown[place] == "\n":  # what stands on the next region's line is its own
            return place
        place += 1
    return place


def _trim(region: Region, shown: str) -> None:
    span = trimmed(shown, region.start, region.end)
    if span is None:
        raise Refusal(f"region [{region.start}, {region.end}) covers nothing of its own: delete it")
    region.start, region.end = span.start, span.end


def _holder(mark: Region, segments: Sequence[Region]) -> int:
    for index, segment in enumerate(segments):
        if segment.start <= mark.start and mark.end <= segment.end:
            return index
    raise Refusal(f"{mark.mark} [{mark.start}, {mark.end}) is not inside one segment: draw it shorter")


def _segment(region: Region, marks: Sequence[Region]) -> tuple[ReadSegment, int]:
    label = region.label
    assert label is not None
    span = Span(region.start, region.end)
    place = f"segment [{span.start}, {span.end}) {label}"
    unverified, dropped = region.unverified, 0
    if label not in SPEAKING:
        if own := [mark for mark in marks if not _untouched(mark)]:
            where = f"{own[0].mark} [{own[0].start}, {own[0].end})"
            raise Refusal(f"{place} takes no attribution, {where} was drawn in it: delete the mark or change the label")
        # The answer stood on the old label; Label Studio hides the question with the new one.
        marks, dropped, unverified = [], len(marks), None
    found: dict[str, Region] = {}
    for mark in marks:
        assert mark.mark is not None
        if mark.mark in found:
            raise Refusal(f"{place} has two regions for {mark.mark}: keep the one of the main clause")
        found[mark.mark] = mark
    kinds = {mark.kind for mark in found.values() if mark.kind is not None}
    if len(kinds) > 1:
        raise Refusal(f"{place}: source and cue name different kinds of source: choose one")
    attribution = None
    if found:
        spans = {name: Span(mark.start, mark.end) for name, mark in found.items()}
        attribution = Attribution(source=spans.get(SOURCE), cue=spans.get(CUE), source_type=next(iter(kinds), None))
    parsed = RegionId.parse(region.key)
    digest = segment_digest(span, label, attribution, unverified=unverified)
    origin = "drawn" if parsed is None else "kept" if parsed.digest == digest else "changed"
    notes = [note for source in (region, *(mark for mark in marks if mark is not region)) for note in source.notes]
    return ReadSegment(
        span=span,
        label=label,
        attribution=attribution,
        unverified=unverified,
        origin=origin,
        discuss=region.discuss or any(mark.discuss for mark in marks),
        notes=tuple(notes),
    ), dropped


def _untouched(mark: Region) -> bool:
    parsed = RegionId.parse(mark.key)
    assert mark.mark is not None
    return parsed is not None and parsed.digest == mark_digest(Span(mark.start, mark.end), mark.mark, mark.kind)
