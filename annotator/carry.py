"""Quotations without a source of their own: the segment from which their source is carried.

Four plain rules, the first that finds a source counts. *Before* and *after* go by what is article: furniture is passed
over. In each, a segment before that was itself carried passes its source on.

1. **One quotation over several segments**: an opening mark without its closing one joins the segments up to it; the
   source is that of the nearest segment before in it, or else after ("« On attend. [Rien ne vient », dit Ada Rey.]").
2. **A lead-in**: the segment before ends with a colon ("Il poursuit :").
3. **Quoted without marks** (interviews, letters, declarations): the source of the segment before, if that is quoted
   without marks too and its source a name without a reporting verb ("Ada Rey : Non."); after a question, the last such
   name. A reporting verb inside an answer brings in somebody else, whom nothing is carried from.
4. **Side by side**: what opens with a quotation mark, or has a reporting verb alone ("Et de conclure : « … »"), takes
   the source of the quotation before it in its paragraph, or else of the one after it; across a paragraph break, of
   the one before, where it is a whole sentence. A reporting verb alone also takes that of a claim before it.
   After a dash somebody else speaks: nothing is carried.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from annotator.records import Attribution, Label, Span
from annotator.segmentation import Break

_FAR = 1500  # characters after which a quotation has lost its closing mark
_MARK = re.compile(r"[«»“”„\"]")
_WHOLE = re.compile(r"[.!?…]\s?[»”\"]*\Z|[»”\"]\s?[.!?…]\Z")
_DASH = re.compile(r"[—–-]\s")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Marks:
    """What the quotation marks of a segment show."""

    joined: bool  # begins inside a quotation that the segment before left open
    opens: bool  # its first character is an opening mark
    none: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """A page without its furniture: parallel sequences, but for ``numbers``, the indices of its segments."""

    numbers: Sequence[int]
    texts: Sequence[str]
    breaks: Sequence[Break]
    labels: Sequence[Label]
    given: Sequence[Attribution | None]
    marks: Sequence[_Marks]

    def quoted(self, place: int) -> bool:
        return 0 <= place < len(self.labels) and self.labels[place] is Label.ATTRIBUTED_QUOTE


def carry_sources(
    text: str,
    spans: Sequence[Span],
    breaks: Sequence[Break],
    labels: Sequence[Label],
    given: Sequence[Attribution | None],
) -> list[Attribution | None]:
    """Fill ``source_segment`` of the quotations whose source stands in another segment, with that source's kind.

    The sequences are parallel; what is not changed is returned as it was given. The segment named holds a source.
    """
    numbers = [index for index, label in enumerate(labels) if label is not Label.BOILERPLATE]
    page = _Page(
        numbers=numbers,
        texts=[spans[index].of(text) for index in numbers],
        breaks=_breaks(breaks, numbers),
        labels=[labels[index] for index in numbers],
        given=[given[index] for index in numbers],
        marks=_read_marks(text, [spans[index] for index in numbers]),
    )
    found = list(given)
    for place, source in _holders(page).items():
        if source != place:
            held = page.given[source]
            assert held is not None
            mine = page.given[place] or Attribution()
            found[numbers[place]] = replace(mine, source_segment=numbers[source], source_type=held.source_type)
    return found


def _breaks(breaks: Sequence[Break], numbers: Sequence[int]) -> list[Break]:
    """Return the break before each segment that is left, the strongest of its own and those of what was dropped."""
    kept: list[Break] = []
    last = -1
    for index in numbers:
        between = breaks[last + 1 : index + 1]
        kept.append(next((kind for kind in (Break.PARAGRAPH, Break.LINE) if kind in between), Break.SENTENCE))
        last = index
    return kept


def _holders(page: _Page) -> Mapping[int, int]:
    """Return the place that holds the source of each place that has one, its own or another's."""
    own = {place for place, said in enumerate(page.given) if said is not None and said.source is not None}
    found = {place: place for place in own}
    speaker: int | None = None
    for place in range(len(page.numbers)):
        if place in own:
            speaker = place if _names_speaker(page, place) else speaker
            continue
        if not page.quoted(place):
            continue
        source = _in_quotation(page, place, found)
        if source is None and page.quoted(place - 1) and page.texts[place - 1].rstrip().endswith(":"):
            source = found.get(place - 1)
        if source is None and not _DASH.match(page.texts[place]):
            unmarked = page.marks[place].none and _cue(page, place) is None
            source = _unmarked(page, place, found, speaker) if unmarked else _beside(page, place, found)
        if source is not None:
            found[place] = source
    return found


def _cue(page: _Page, place: int) -> Span | None:
    said = page.given[place]
    return None if said is None else said.cue


def _names_speaker(page: _Page, place: int) -> bool:
    """Say whether a source is a name before what is said: "Ada Rey : Non."."""
    return page.quoted(place) and _cue(page, place) is None


def _in_quotation(page: _Page, place: int, found: Mapping[int, int]) -> int | None:
    """Rule 1: nearest before, within the quotation that goes on, or else nearest after."""
    back = place
    while page.marks[back].joined and page.quoted(back - 1):
        back -= 1
        if back in found:
            return found[back]
    ahead = place + 1
    while page.quoted(ahead) and page.marks[ahead].joined:
        if ahead in found:
            return found[ahead]
        ahead += 1
    return None


def _unmarked(page: _Page, place: int, found: Mapping[int, int], speaker: int | None) -> int | None:
    """Rule 3."""
    if page.quoted(place - 1):
        source = found.get(place - 1)
        if source == place - 1 and not _names_speaker(page, source):  # somebody quoted in the answer
            return speaker
        return source if page.marks[place - 1].none or source == place - 1 else None
    if place > 0 and page.labels[place - 1] is Label.EDITORIAL_FRAMING and speaker is not None:
        return speaker
    ahead = _next_source(page, place, found)  # a message, and in the same paragraph who sent it
    return found[ahead] if ahead is not None and page.marks[ahead].none else None


def _beside(page: _Page, place: int, found: Mapping[int, int]) -> int | None:
    """Rule 4."""
    cue = _cue(page, place)
    if not (page.marks[place].opens or cue is not None):
        return None
    near, quoted = page.breaks[place] is Break.SENTENCE, page.quoted(place - 1)
    whole = cue is None and _WHOLE.search(page.texts[place].rstrip()) is not None
    if place - 1 in found and ((near and (quoted or cue is not None)) or (quoted and whole)):
        return found[place - 1]
    ahead = _next_source(page, place, found) if cue is None else None
    return None if ahead is None else found[ahead]


def _next_source(page: _Page, place: int, found: Mapping[int, int]) -> int | None:
    """Return the next place with a source among the quotations that follow in the same paragraph."""
    ahead = place + 1
    while page.quoted(ahead) and page.breaks[ahead] is Break.SENTENCE:
        if ahead in found:
            return ahead
        ahead += 1
    return None


def _read_marks(text: str, spans: Sequence[Span]) -> list[_Marks]:
    """Follow quotations from segment to segment: marks with a direction, and straight ones, which take turns.

    Straight marks inside a quotation of the other kind are its own; one that does not close within
    :data:`_FAR` characters has lost its closing mark.
    """
    read: list[_Marks] = []
    kind: str | None = None  # of the open quotation: « for those with a direction, " for straight ones
    opened = 0
    for span in spans:
        if kind is not None and span.start - opened > _FAR:
            kind = None
        joined = kind is not None
        piece = span.of(text)
        marks = list(_MARK.finditer(piece))
        for match in marks:
            mark = match[0]
            if mark == '"':
                if kind is None:
                    kind, opened = '"', span.start + match.start()
                elif kind == '"':
                    kind = None
            elif mark in "«“„":
                if kind is None or kind == "«":
                    kind, opened = "«", span.start + match.start()
            elif kind == "«":
                kind = None
        read.append(_Marks(joined=joined, opens=piece.lstrip()[:1] in '«“„"' and bool(marks), none=not marks))
    return read
