"""Regions of an annotation back to segments that cover the page: pure.

What people do by hand is mended where it is plain what they meant (a space too many, a bracket or the end of a word
left out) and refused where it is not. A refusal is a :class:`Refusal`; its reason goes to the quarantine file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from annotator.labelstudio.config import ANONYMITY, CUE, SOURCE
from annotator.labelstudio.convert import RegionId, mark_digest, segment_digest, trimmed
from annotator.labelstudio.regions import Refusal, Region, read_links, read_regions
from annotator.records import Attribution, Label, Span

SPEAKING = (Label.REPORTED_CLAIM, Label.ATTRIBUTED_QUOTE)
_WORD = re.compile(r"\w+")
_OPENING = frozenset("«“„‘([{‹¿¡#@—–-•*·→>")


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
    regions, comments = read_regions(result, shown)
    segments = _covering([r for r in regions if r.label is not None], shown)
    marks: dict[int, list[Region]] = {}
    for region in regions:
        if region.mark is not None:
            marks.setdefault(_holder(region, segments), []).append(region)
        elif region.label is None and (region.kind or region.notes or region.discuss):
            raise Refusal(f"region [{region.start}, {region.end}) has a remark or a choice but no label: label it")
    links = read_links(result, {region.key: region for region in regions})
    read, dropped = [], 0
    for index in range(len(segments)):
        segment, lost = _segment(index, segments, marks.get(index, []), links)
        read.append(segment)
        dropped += lost
    read = _with_kinds(read)
    known = [parsed.model_version for r in regions if (parsed := RegionId.parse(r.key)) is not None]
    versions = sorted(set(known), key=lambda version: (-known.count(version), version))
    return ReadResult(
        segments=tuple(read),
        comment="\n".join(comments) or None,
        model_versions=tuple(versions),
        marks_dropped=dropped,
    )


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


def _segment(
    index: int, segments: Sequence[Region], marks: Sequence[Region], links: Mapping[str, Region]
) -> tuple[ReadSegment, int]:
    region = segments[index]
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
    antecedent = links.get(found[SOURCE].key) if SOURCE in found else None
    carried = _carried(index, segments, found, links)
    if ANONYMITY in found and carried is None and not {SOURCE, CUE} & set(found):
        raise Refusal(f"{place} has words of anonymity but nobody who speaks: mark the source or the cue too")
    attribution = None
    if found or carried is not None:
        spans = {name: Span(mark.start, mark.end) for name, mark in found.items()}
        attribution = Attribution(
            source=spans.get(SOURCE),
            cue=spans.get(CUE),
            source_type=next(iter(kinds), None),
            source_segment=None if carried is None else _holder(carried, segments),
            antecedent=None if antecedent is None else Span(antecedent.start, antecedent.end),
            anonymity_reason=spans.get(ANONYMITY),
        )
    parsed = RegionId.parse(region.key)
    held = None if carried is None else Span(carried.start, carried.end)
    digest = segment_digest(span, label, attribution, unverified=unverified, carried=held)
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


def _carried(
    index: int, segments: Sequence[Region], found: Mapping[str, Region], links: Mapping[str, Region]
) -> Region | None:
    """Return the source of another segment that this one, or its cue alone, points to."""
    region = segments[index]
    target = links.get(region.key) or (links.get(found[CUE].key) if CUE in found else None)
    if target is None or segments[_holder(target, segments)].label not in SPEAKING:
        return None
    place = f"segment [{region.start}, {region.end})"
    if SOURCE in found or _holder(target, segments) == index:
        raise Refusal(f"{place} has a source of its own and an arrow to another: delete one")
    return target


def _with_kinds(segments: Sequence[ReadSegment]) -> list[ReadSegment]:
    """Give what has no mark to choose a kind on the kind of the source that is carried to it."""
    read = []
    for seg in segments:
        said = seg.attribution
        if said is not None and said.source_segment is not None and said.source_type is None:
            held = segments[said.source_segment].attribution
            kind = None if held is None else held.source_type
            read.append(replace(seg, attribution=replace(said, source_type=kind)))
        else:
            read.append(seg)
    return read


def _untouched(mark: Region) -> bool:
    parsed = RegionId.parse(mark.key)
    assert mark.mark is not None
    return parsed is not None and parsed.digest == mark_digest(Span(mark.start, mark.end), mark.mark, mark.kind)
