"""Cutting a page into segments: lines first, then the sentences inside a line.

A line break is a hard break, because on a news page a line is a headline, a byline, a caption or a link;
only in hard-wrapped text, where the breaks say nothing, are lines read on as one. Inside a line the sentences
are those of the library ``sentencex`` with French rules, mended where the labelled pages show it to be wrong
(docs/segmentation.md lists the rules and what each was drawn from). The text is never altered: the library
reads a copy of the same length, so every offset is an offset into the page.
"""

from __future__ import annotations

import logging
import re
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING

from sentencex import get_sentence_boundaries  # type: ignore[import-untyped]

from annotator.records import Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_log = logging.getLogger(__name__)


class Break(StrEnum):
    """What separates a segment from the one before it; the first segment of a page begins a paragraph."""

    PARAGRAPH = "paragraph"
    LINE = "line"
    SENTENCE = "sentence"


# The characters at which str.splitlines cuts; \r\n is one break.
_EOL_CHARS = "\n\r\v\f\x1c-\x1e\x85\u2028\u2029"
_EOL = re.compile(f"\r\n|[{_EOL_CHARS}]")
_LINE = re.compile(f"[^{_EOL_CHARS}]+")
_SURROGATES = re.compile("[\ud800-\udfff]")
_OTHER_SPACE = re.compile(r"[^\S ]")
_WORD = re.compile(r"[^\W_]")

_OPENING = "«„‟‹‘“"
_CLOSING = "»›”)]"
_MARKS = '«»“”„‟‹›‘"'
_OPENERS_ONLY = re.compile(rf"[\s{_OPENING}(\[]+")
_GAP = re.compile(r"[\s)\]]*")
_BULLETS = "•◆·■▪●►→*"

_UPPER = "A-ZÀ-ÖØ-ÞŒŸ"
# Words that begin a French sentence and hardly ever a name: what tells 'la vitamine C. Les…' from 'C. Dupont'.
_STARTERS = (
    "Le|La|Les|Un|Une|Des|Du|De|Au|Aux|Il|Elle|Ils|Elles|On|Nous|Vous|Je|Tu|Ce|Cet|Cette|Ces|Cela|Ça|Mais|Et|Ou|Or|"
    "Donc|Car|En|Dans|Pour|Par|Sur|Sous|Sans|Sauf|Avec|Avant|Après|Chez|Selon|Depuis|Pendant|Son|Sa|Ses|Leur|Leurs|"
    "Mon|Ma|Mes|Notre|Nos|Votre|Vos|Si|Quand|Comme|Que|Qui|Quel|Quelle|Quels|Quelles|Tout|Tous|Toute|Toutes|Ainsi|"
    "Alors|Aussi|Puis|Enfin|Ensuite|Plus|Deux|Trois|Aucun|Aucune|Chaque|Plusieurs|Celui|Celle|Ceux|Celles|Même|Ni"
)
_STARTER = re.compile(rf"(?:(?:{_STARTERS})(?!\w)|(?:[LDCSNJMT]|Qu|Jusqu|Lorsqu)['’]|À(?!\w)|A\s)")

# Ends of a piece after which the full stop is not the end of a sentence; each is read on up to what follows.
_TITLE = re.compile(r"(?<!\w)(?:MM?|Mmes?|Mlles?|Mgr|Me|Drs?|Prs?|Stes?|St|Sr|Gal|Gén|Col|Cdt|Cne|Lt|Sté|Ets)\.$")
_NUMBERED = re.compile(r"(?<!\w)(?:[Aa]rt|[Vv]ol|[Cc]hap|[Ff]ig|[Tt]él|[Rr]éf|[Éé]d|[Nn]os?|pp?|n°|t|al)\.$")
_MONTH = re.compile(r"(?<!\w)(?:janv|févr?|avr|juill?|sept|oct|nov|déc)\.$", re.IGNORECASE)
_ITEM = re.compile(r"(?:(?:^\s*|[:;]\s+)(?:\d{1,2}|[IVX]+)|^\s*(?:Fig\.|Figure|Tableau|Carte|Encadré)\s\d{1,3})\.$")
_INITIAL = re.compile(rf"(?:^|[\s(\[.'’-])[{_UPPER}]\.$")
_CAPITALS = re.compile(rf"(?<![^\W\d_{_UPPER}])[{_UPPER}\d]{{2,}}\.$")
_DOMAIN = re.compile(rf"[{_UPPER}]{{2,4}}(?!\w)")
_ADDRESS = re.compile(r"(?:https?://|www\.|@)\S*$", re.IGNORECASE)
_NUMERAL = re.compile(r"\d|[IVXLC]+(?!\w)")
# Words that the library takes for abbreviations wherever they stand; it does not cut after '…' or 'etc.' either,
# but nor do the labelled pages (docs/segmentation.md).
_MISSED = re.compile(rf"\b(?:vol|sec|art|sup|dir|éd|CA|FR)\.\s+(?={_STARTER.pattern})")

# The library is quadratic on some lines (many quotation marks or apostrophes); a long line is read through windows.
_WINDOW = 4096
_OVERLAP = 512
_TAIL = 40

# Hard wrapping: widths in characters; lines read on, their share of all that could be, and the share that is full.
_WIDTHS = range(40, 161)
_MIN_READ_ON = 2
_MIN_SHARE = 0.2
_MIN_FULL = 0.9
_HINT = re.compile(rf"[^\s.!?…:»\"”][ \t]*(?:\r\n|[{_EOL_CHARS}])[ \t]*[a-zà-öø-ÿœ]")
_TERMINATED = '.!?…:;»"”)'


def segment(text: str) -> list[Span]:
    """Cut a page into segments.

    Any string is accepted; the time is linear in its length.

    Args:
        text: the page, unaltered (any line breaks, any Unicode, lone surrogates included).

    Returns:
        Spans in order, disjoint, without white space (``str.isspace``) at either end, which together cover
        every character that is not white space; empty for a blank text. A piece without a letter or digit
        ('***', '—', an emoji) belongs to the piece before it, an opening mark to the piece after it.
    """
    spans: list[Span] = []
    pending: int | None = None
    for start, end in _pieces(text):
        first = start if pending is None else pending
        if _WORD.search(text, start, end):
            spans.append(Span(first, end))
            pending = None
        elif spans and pending is None and not _OPENERS_ONLY.fullmatch(text, start, end):
            spans[-1] = Span(spans[-1].start, end)
        else:
            pending = first
        last = end
    if pending is not None:
        if spans:
            spans[-1] = Span(spans[-1].start, last)
        else:
            spans.append(Span(pending, last))
    return spans


def breaks(text: str, spans: Sequence[Span]) -> list[Break]:
    """Say what separates each segment from the one before it.

    Args:
        text: the page.
        spans: segments of the page in order, one's own or anybody's (a gold segmentation).

    Returns:
        One break a span, read from the gap before it: two line breaks or more (or U+2029) are a paragraph,
        one is a line, none, or one that only wraps the text, is a sentence. The first is a paragraph.
    """
    found = [Break.PARAGRAPH][: len(spans)]
    soft: frozenset[int] | None = None
    for before, span in pairwise(spans):
        ends = list(_EOL.finditer(text, before.end, span.start))
        if not ends:
            found.append(Break.SENTENCE)
        elif len(ends) > 1 or ends[0].group() == "\u2029":
            found.append(Break.PARAGRAPH)
        else:
            if soft is None:
                soft = _soft_breaks(text)
            found.append(Break.SENTENCE if ends[0].start() in soft else Break.LINE)
    return found


def is_hard_wrapped(text: str) -> bool:
    """Say whether some of the text's line breaks only wrap it (``segment`` and ``breaks`` read over those)."""
    return bool(_soft_breaks(text))


def _readable(text: str) -> str:
    """Return a copy of the same length that the library reads well.

    Quotation marks become spaces, since the library joins all the sentences between two of them; so does all
    white space, since it panics (1.0.32) on a capital, a no-break space and a full stop in a row; lone
    surrogates, which have no UTF-8 form, become U+FFFD.
    """
    for mark in _MARKS:
        text = text.replace(mark, " ")
    text = _OTHER_SPACE.sub(" ", text)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = _SURROGATES.sub("\ufffd", text)
    return text


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of the sentences of every line, trimmed of white space, none of them blank."""
    copy = _readable(text)
    for start, end in _lines(text, _soft_breaks(text)):
        line = text[start:end]
        for first, last in pairwise((0, *_cuts(line, copy[start:end]), end - start)):
            piece = line[first:last]
            length = len(piece.strip())
            if length:
                begin = start + first + len(piece) - len(piece.lstrip())
                yield begin, begin + length


def _lines(text: str, soft: frozenset[int]) -> Iterator[tuple[int, int]]:
    """Yield start and end of the lines, those of a hard-wrapped stretch as one."""
    if not soft:
        for match in _LINE.finditer(text):
            yield match.span()
        return
    start = 0
    for end in _EOL.finditer(text):
        if end.start() not in soft:
            yield start, end.start()
            start = end.end()
    yield start, len(text)


def _boundaries(line: str) -> list[int]:
    """Return where the library begins a sentence in a line, 0 left out; none if it fails on the line."""
    try:
        return [found["start_index"] for found in get_sentence_boundaries("fr", line)][1:]
    except BaseException as error:  # a panic of its Rust code is no Exception, and must not end a run
        if type(error).__name__ != "PanicException":
            raise
        _log.warning("sentencex failed on a line of %d characters: it stays one segment", len(line))
        return []


def _starts(line: str) -> list[int]:
    """Return where the library begins a new sentence in a line (the first one left out), in linear time."""
    if len(line) <= _WINDOW:
        return _boundaries(line)
    starts: list[int] = []
    base = 0
    while True:
        at_end = base + _WINDOW >= len(line)
        limit = len(line) if at_end else base + _WINDOW - _OVERLAP  # what follows a boundary must be in sight
        done = starts[-1] if starts else 0
        window = (base + start for start in _boundaries(line[base : base + _WINDOW]))
        starts += [start for start in window if done < start <= limit]
        if at_end:
            return starts
        # Begin the next window at the last boundary or at a space, never less than half a window further on.
        half = base + _WINDOW // 2
        base = starts[-1] if starts and starts[-1] >= half else line.rfind(" ", half, limit) + 1 or limit


def _cuts(line: str, readable: str) -> list[int]:
    """Return where to cut a line into sentences, in order.

    Args:
        line: the line as it stands on the page.
        readable: the same with marks blanked (`_readable`).
    """
    if readable.lstrip()[:1] in ("(", "["):  # a whole aside: the library would not cut between brackets
        opening = len(readable) - len(readable.lstrip())
        readable = f"{readable[:opening]} {readable[opening + 1 :]}"
    starts = _starts(readable)
    missed = [match.end() for match in _MISSED.finditer(readable)]
    if missed:
        starts = sorted({*starts, *missed})
    cuts: list[int] = []
    begin = looked = 0  # of the current sentence; end of what has been looked at
    counted, quotes = 0, 0  # straight quotation marks in line[:counted]
    for start in starts:
        if start <= looked:
            continue
        left = readable[looked:start].rstrip()
        ending, looked = looked + len(left), start
        after = _GAP.match(readable, start)
        following = after.end() if after else start
        if not left or following == len(readable):
            continue
        left, right = readable[max(begin, ending - _TAIL) : ending], readable[following : following + _TAIL]
        if _runs_on(left, right, glued=following == ending):
            continue
        quotes += line.count('"', counted, ending)
        counted = ending
        cut = _share_out(line, ending, following, inside=quotes % 2 == 1)
        cuts.append(cut)
        begin = looked = cut
    return cuts


def _runs_on(left: str, right: str, *, glued: bool) -> bool:
    """Say whether what the library took for the end of a sentence is none.

    Args:
        left: the end of the piece before, its last character not white space.
        right: the beginning of the piece after, its first character not white space.
        glued: nothing stands between the two.
    """
    first = right[0]
    if first.islower() or first in ",;:|" or (first in _BULLETS and left[-1] not in ".!?…"):
        return True
    if glued and _ADDRESS.search(left):
        return True
    if left[-1] != ".":
        return False
    if _TITLE.search(left) or _ITEM.search(left):
        return True
    if _NUMBERED.search(left):
        return _NUMERAL.match(right) is not None
    if _MONTH.search(left):
        return first.isdigit()
    if _INITIAL.search(left):  # a piece that is nothing but an initial is a name even before 'Le' ('Y. Le Goff')
        return glued or len(left.strip()) == len("Y.") or _STARTER.match(right) is None
    return glued and _CAPITALS.search(left) is not None and _DOMAIN.match(right) is not None


def _share_out(line: str, ending: int, following: int, *, inside: bool) -> int:
    """Return the cut between two sentences: closing marks stay with the first, opening ones go with the second.

    Args:
        line: the line as it stands on the page.
        ending: end of the first sentence, marks left out.
        following: beginning of the second one, marks left out.
        inside: an odd number of straight quotation marks stands before ``ending``.
    """
    cut = ending
    for at in range(ending, following):
        mark = line[at]
        if mark in _CLOSING:
            cut = at + 1
        elif mark in '"“':
            leans_left = not line[at - 1].isspace()
            leans_right = at + 1 == following or not line[at + 1].isspace()
            closes = leans_left if leans_left != leans_right else mark == '"' and inside
            if not closes:
                break
            cut = at + 1
            inside = False
        elif mark in _OPENING:
            break
    while line[cut].isspace():
        cut += 1
    return cut


def _soft_breaks(text: str) -> frozenset[int]:
    """Return the offsets of the line breaks that only wrap the text: of all of it, or of single blocks."""
    if not _HINT.search(text):
        return frozenset()
    blocks = _blocks(text)
    width = _wrap_width(text, blocks)
    found = [(block, width) for block in blocks] if width else [(block, _wrap_width(text, [block])) for block in blocks]
    return frozenset(at for block, width in found if width for at in _joints(text, block, width))


def _blocks(text: str) -> list[list[tuple[int, int]]]:
    """Return the runs of two lines or more without a blank line; a line is its start and its trimmed end."""
    blocks: list[list[tuple[int, int]]] = [[]]
    start = 0
    for at, after in [*(end.span() for end in _EOL.finditer(text)), (len(text), len(text))]:
        length = len(text[start:at].rstrip())
        if length:
            blocks[-1].append((start, start + length))
        elif blocks[-1]:
            blocks.append([])
        start = after
    return [block for block in blocks if len(block) > 1]


def _wrap_width(text: str, blocks: list[list[tuple[int, int]]]) -> int:
    """Return the width to which the lines of the blocks are wrapped; 0 if they are not.

    Where a program wraps, nearly every line that is read on in lower case is full; where lines end for another
    reason (a link, a list), their lengths have nothing to do with it.
    """
    lines = [line for block in blocks for line in block]
    # An address longer than the width stands alone on its line.
    width = max((end - start for start, end in lines if " " in text[start:end].strip()), default=0)
    if width not in _WIDTHS:
        return 0
    pairs = [pair for block in blocks for pair in pairwise(block)]
    read_on = [pair for pair in pairs if _reads_on(text, *pair)]
    if len(read_on) < max(_MIN_READ_ON, _MIN_SHARE * len(pairs)):
        return 0
    return width if sum(_is_full(text, *pair, width) for pair in read_on) >= _MIN_FULL * len(read_on) else 0


def _is_full(text: str, line: tuple[int, int], after: tuple[int, int], width: int) -> bool:
    """Say whether the first word of the next line would hardly have fit on this one.

    A program that balances its lines (fmt) leaves up to a fifth of the width; at the end of a sentence, where a
    short line is rather the last of its paragraph, half of that is allowed.
    """
    word = text[after[0] : after[1]].split(maxsplit=1)[0]
    slack = width // 10 if text[line[1] - 1] in _TERMINATED else width // 5
    return line[1] - line[0] + 1 + len(word) > width - slack


def _reads_on(text: str, line: tuple[int, int], after: tuple[int, int]) -> bool:
    """Say whether the next line continues this one's sentence, to judge by its first letter."""
    return text[line[1] - 1] not in _TERMINATED and text[after[0] : after[1]].lstrip()[0].islower()


def _joints(text: str, block: list[tuple[int, int]], width: int) -> Iterator[int]:
    """Yield the offsets of a wrapped block's breaks that only wrap it; a short line ends its paragraph."""
    for line, after in pairwise(block):
        begins = text[after[0] : after[1]]
        ended = text[line[1] - 1] in _TERMINATED
        indented = begins[0].isspace() and not text[line[0]].isspace()
        item = begins.lstrip()[0] in f"-–—{_BULLETS}"
        if ended and (indented or item):
            continue
        if _is_full(text, line, after, width) or _reads_on(text, line, after):
            found = _EOL.search(text, line[1])
            if found:
                yield found.start()
