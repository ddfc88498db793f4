"""Token windows: packing a page's segments into encoder inputs, and pooling the outputs back.

Training and inference both go through :func:`encode` and :func:`plan`, so that they cannot differ. A window is
one row of encoder input: ``<s>``, the context marks (position in the page, title), then for each segment the
mark of the break before it (``</s>`` inside a paragraph, ``<line>``, ``<para>``), ``<open>`` where a quotation
that opened earlier is still open, and its tokens; ``</s>`` ends the row. Windows overlap: a segment is *core* in
exactly one window (each chunk of it, when it is longer than a window) and *context* in others, whose word on it
counts less.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from annotator.errors import ModelError
from annotator.records import Span
from annotator.segmentation import Break

_POSITIONS = 8
SPECIAL_TOKENS: tuple[str, ...] = ("<line>", "<para>", "<title>", "<open>", *(f"<pos{i}>" for i in range(_POSITIONS)))

# A quotation that has not closed after this many characters has lost its mark.
_OPEN_LIMIT = 1500
_OPENING = "«“„‹"
_MARK = re.compile('[«“„‹»”›"]')
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowConfig:
    """How pages become windows; saved in a model's manifest and read back with it.

    ``max_tokens`` bounds a row, marks included; ``context_tokens`` is how much of the neighbours a core segment
    is given on each side where the page has them, and ``context_weight`` how much what a window says of its context
    counts beside the segment's own window; ``title_tokens`` is how much of the title opens each row (0: none).
    """

    max_tokens: int = 384
    context_tokens: int = 64
    context_weight: float = 0.5
    title_tokens: int = 24
    break_marks: bool = True
    open_marks: bool = True
    position_marks: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPage:
    """A tokenised page: for each segment its ids, and the characters of each token as [n, 2] text offsets."""

    ids: tuple[NDArray[np.int32], ...]
    offsets: tuple[NDArray[np.int32], ...]
    prefix: tuple[tuple[int, ...], ...]
    head: tuple[int, ...]
    positions: tuple[int, ...]
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Where tokens ``first .. first + length`` of a segment stand in a window: from row position ``at`` on."""

    segment: int
    first: int
    at: int
    length: int
    core: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One row of encoder input, without padding."""

    input_ids: NDArray[np.int64]
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageLogits:
    """Pooled outputs: ``labels`` [segments, 4]; per segment ``tags`` [tokens, 5] and ``source_types`` [tokens, 5]."""

    labels: NDArray[np.float32]
    tags: tuple[NDArray[np.float32], ...]
    source_types: tuple[NDArray[np.float32], ...]


def _quotation_marks(text: str) -> Iterable[tuple[int, bool]]:
    """Yield the marks of ``text``, with whether each opens; a straight one opens before a word, else closes."""
    for found in _MARK.finditer(text):
        at, mark = found.start(), found.group()
        if mark == '"':
            after_space = at == 0 or text[at - 1].isspace() or text[at - 1] in "('’"
            yield at, after_space and not text[at + 1 : at + 2].isspace() and text[at + 1 : at + 2] not in ".,;:!?)"
        else:
            yield at, mark in _OPENING


def open_quotations(text: str, spans: Sequence[Span]) -> list[bool]:
    """Say of each segment whether it starts inside a quotation that an earlier segment opened.

    It does when the last mark before it opens and the next one, not further than ``_OPEN_LIMIT`` characters from
    either, closes: a quotation of which a mark was lost is left to the words.
    """
    marks = list(_quotation_marks(text))
    out: list[bool] = []
    following = 0
    for span in spans:
        while following < len(marks) and marks[following][0] < span.start:
            following += 1
        if following in (0, len(marks)):
            out.append(False)
            continue
        (before, opens), (after, opens_again) = marks[following - 1], marks[following]
        near = span.start - before <= _OPEN_LIMIT and after - span.start <= _OPEN_LIMIT
        out.append(opens and not opens_again and near)
    return out


def special_ids(tokenizer: Tokenizer) -> dict[str, int]:
    """Return the ids of the tokens that windows are built with.

    Raises:
        ModelError: the tokenizer does not know one of them.
    """
    ids: dict[str, int] = {}
    for token in ("<s>", "</s>", "<unk>", "<pad>", *SPECIAL_TOKENS):
        found = tokenizer.token_to_id(token)
        if found is None:
            raise ModelError(f"the tokenizer has no token {token}: it was not made for this version of annotator")
        ids[token] = found
    return ids


def encode(
    text: str,
    spans: Sequence[Span],
    breaks: Sequence[Break],
    tokenizer: Tokenizer,
    config: WindowConfig,
    *,
    title: str | None = None,
) -> EncodedPage:
    """Tokenise the segments of a page one by one, so that no token crosses a boundary.

    A segment of which the tokenizer keeps nothing (zero-width characters) becomes one ``<unk>``.
    """
    special = special_ids(tokenizer)
    # Lone surrogates have no UTF-8, which the tokenizer works in; the stand-in keeps every offset.
    readable = _SURROGATE.sub("\ufffd", text)
    encodings = tokenizer.encode_batch([span.of(readable) for span in spans], add_special_tokens=False)
    ids: list[NDArray[np.int32]] = []
    offsets: list[NDArray[np.int32]] = []
    for span, encoding in zip(spans, encodings, strict=True):
        if encoding.ids:
            ids.append(np.array(encoding.ids, dtype=np.int32))
            offsets.append(np.array(encoding.offsets, dtype=np.int32) + span.start)
        else:
            ids.append(np.array([special["<unk>"]], dtype=np.int32))
            offsets.append(np.array([[span.start, span.end]], dtype=np.int32))
    marks = {Break.SENTENCE: special["</s>"], Break.LINE: special["<line>"], Break.PARAGRAPH: special["<para>"]}
    opened = open_quotations(text, spans) if config.open_marks else [False] * len(spans)
    prefix = tuple(
        ((marks[kind] if config.break_marks else special["</s>"]), *((special["<open>"],) if is_open else ()))
        for kind, is_open in zip(breaks, opened, strict=True)
    )
    head: list[int] = []
    if config.title_tokens and title:
        head = [
            special["<title>"],
            *tokenizer.encode(_SURROGATE.sub("\ufffd", title), add_special_tokens=False).ids[: config.title_tokens],
        ]
    size = max(1, len(text))
    positions = tuple(
        special[f"<pos{min(_POSITIONS - 1, _POSITIONS * span.start // size)}>"] if config.position_marks else -1
        for span in spans
    )
    return EncodedPage(
        ids=tuple(ids),
        offsets=tuple(offsets),
        prefix=prefix,
        head=(special["<s>"], *head),
        positions=positions,
        end=special["</s>"],
    )


def plan(page: EncodedPage, config: WindowConfig, *, first_tokens: int | None = None) -> list[Window]:
    """Pack a page into windows; every token of every segment is core exactly once.

    ``first_tokens`` bounds the first window only: training shifts the cuts of a page with it.
    """
    room = config.max_tokens - len(page.head) - 2
    units = list(_units(page, room))
    costs = [length + len(page.prefix[segment]) for segment, _, length in units]
    windows: list[Window] = []
    start = 0
    while start < len(units):
        budget = room
        if not windows and first_tokens is not None:
            budget = max(1, min(room, first_tokens))
        low, used = start, 0
        while windows and low > 0 and used + costs[low - 1] <= min(config.context_tokens, room - costs[start]):
            low -= 1
            used += costs[low]
        high = start
        while high < len(units) and (high == start or used + costs[high] <= budget):
            used += costs[high]
            high += 1
        stop = high
        if high < len(units):
            # The last core unit leaves room for context on its right.
            right = 0
            while stop - 1 > start and right + costs[stop - 1] <= config.context_tokens:
                right += costs[stop - 1]
                stop -= 1
        windows.append(_window(page, units, low, start, stop, high))
        start = stop
    return windows


def _units(page: EncodedPage, room: int) -> Iterable[tuple[int, int, int]]:
    """Yield (segment, first token, tokens): a segment, or chunks of one that is longer than a window."""
    for segment, ids in enumerate(page.ids):
        limit = room - len(page.prefix[segment])
        for first in range(0, len(ids), limit):
            yield segment, first, min(limit, len(ids) - first)


def _window(
    page: EncodedPage, units: Sequence[tuple[int, int, int]], low: int, start: int, stop: int, high: int
) -> Window:
    row: list[int] = list(page.head)
    position = page.positions[units[start][0]]
    if position >= 0:
        row.insert(1, position)
    pieces: list[Piece] = []
    for index in range(low, high):
        segment, first, length = units[index]
        row.extend(page.prefix[segment])
        pieces.append(Piece(segment=segment, first=first, at=len(row), length=length, core=start <= index < stop))
        row.extend(page.ids[segment][first : first + length].tolist())
    row.append(page.end)
    return Window(input_ids=np.array(row, dtype=np.int64), pieces=tuple(pieces))


def pool(
    page: EncodedPage,
    windows: Sequence[Window],
    label_logits: Sequence[NDArray[np.float32]],
    tag_logits: Sequence[NDArray[np.float32]],
    source_type_logits: Sequence[NDArray[np.float32]],
    *,
    context_weight: float = 0.0,
) -> PageLogits:
    """Pool per-token outputs of the windows back to the page's segments.

    Each sequence has one array a window, [row length (or more), classes]. A token's logits are the mean over the
    windows that hold it, those where it is context weighing ``context_weight``. A segment's label logits are the mean
    over all its tokens, which equals the logits of the mean hidden state, the head being linear.
    """
    classes = label_logits[0].shape[-1] if label_logits else 4
    labels = [np.zeros((len(ids), classes), dtype=np.float64) for ids in page.ids]
    tags = [np.zeros((len(ids), 5), dtype=np.float32) for ids in page.ids]
    types = [np.zeros((len(ids), 5), dtype=np.float32) for ids in page.ids]
    weights = [np.zeros((len(ids), 1), dtype=np.float32) for ids in page.ids]
    for window, label, tag, kind in zip(windows, label_logits, tag_logits, source_type_logits, strict=True):
        for piece in window.pieces:
            weight = np.float32(1.0 if piece.core else context_weight)
            if not weight:
                continue
            row = slice(piece.at, piece.at + piece.length)
            part = slice(piece.first, piece.first + piece.length)
            labels[piece.segment][part] += weight * label[row]
            tags[piece.segment][part] += weight * tag[row]
            types[piece.segment][part] += weight * kind[row]
            weights[piece.segment][part] += weight
    for index, weight_of in enumerate(weights):
        labels[index] /= weight_of
        tags[index] /= weight_of
        types[index] /= weight_of
    means = [values.mean(axis=0) for values in labels]
    return PageLogits(
        labels=np.stack(means).astype(np.float32) if means else np.zeros((0, classes), dtype=np.float32),
        tags=tuple(tags),
        source_types=tuple(types),
    )
