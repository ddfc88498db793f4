"""What stands in the result of an annotation: regions, the arrows between them, remarks on the page; checked, pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from annotator.errors import RecordError
from annotator.labelstudio.config import (
    ANONYMITY,
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
from annotator.labelstudio.convert import trimmed
from annotator.records import LABELS, SOURCE_TYPES, Label, SourceType


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


def read_regions(result: Sequence[Mapping[str, Any]], shown: str) -> tuple[list[Region], list[str]]:
    """Return the regions of a result over the text ``shown``, and the remarks on the page.

    Raises:
        Refusal: the reason, with offsets.
    """
    regions: dict[str, Region] = {}
    comments: list[str] = []
    for item in result:
        control, value = item.get("from_name"), item.get("value")
        if control not in (LABEL, MARK, REVIEW, KIND, UNVERIFIED, DISCUSS, NOTE, COMMENT):
            continue  # arrows, which read_links reads, and controls that somebody added to the project
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
        if entry not in (SOURCE, CUE, ANONYMITY) or region.mark not in (None, entry):
            raise Refusal(f"{place}: mark {entry!r} is unknown or the second one: use source, cue or {ANONYMITY}")
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


def read_links(result: Sequence[Mapping[str, Any]], regions: Mapping[str, Region]) -> dict[str, Region]:
    """Return the arrows that end at a source: the id of the region where one begins, to the source's region.

    Others are passed over. An arrow drawn the wrong way round, from the name to its pronoun, cannot be told from one
    between two sources, and counts as it is drawn.

    Raises:
        Refusal: two arrows begin at one region and end at different sources.
    """
    links: dict[str, Region] = {}
    for item in result:
        if item.get("type") != "relation":
            continue
        ends = [regions.get(str(item.get(name))) for name in ("from_id", "to_id")]
        start, end = reversed(ends) if item.get("direction") == "left" else ends
        if start is None or end is None or end.mark != SOURCE or start is end or start.mark == ANONYMITY:
            continue
        if links.setdefault(start.key, end) is not end:
            raise Refusal(f"region [{start.start}, {start.end}) has arrows to two sources: delete one")
    return links
