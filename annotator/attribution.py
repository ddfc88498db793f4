"""From the tag head's logits to who speaks in a segment: at most one source and one cue."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from annotator.records import SOURCE_TYPES, Attribution, Label, Span

# Columns of the tag logits (BIO; Ramshaw and Marcus 1995).
_OUTSIDE, _B_SOURCE, _I_SOURCE, _B_CUE, _I_CUE = range(5)
_SPEAKING = frozenset({Label.ATTRIBUTED_QUOTE, Label.REPORTED_CLAIM})


def best_span(tags: NDArray[np.float32], begin: int, inside: int) -> tuple[int, int] | None:
    """Return the tokens [first, last] of the span that most improves on tagging nothing, or None where none does.

    The gain of a span is the sum, over its tokens, of the logit of its tag less that of O; the best one is found
    in one pass over ``tags`` [tokens, 5].
    """
    best, found = 0.0, None
    gain, first = -math.inf, 0
    gains: list[list[float]] = (tags[:, [begin, inside]] - tags[:, [_OUTSIDE]]).tolist()
    for index, (fresh, more) in enumerate(gains):
        going = gain + more
        if fresh >= going:
            gain, first = fresh, index
        else:
            gain = going
        if gain > best:
            best, found = gain, (first, index)
    return found


def attribute(
    text: str,
    label: Label,
    tags: NDArray[np.float32],
    source_types: NDArray[np.float32],
    offsets: NDArray[np.int32],
) -> Attribution | None:
    """Decode one segment: ``tags`` [n, 5], ``source_types`` [n, 5], ``offsets`` [n, 2] into ``text``.

    Framing and furniture carry no attribution (codebook, part 2).
    """
    if label not in _SPEAKING:
        return None
    source, cue = best_span(tags, _B_SOURCE, _I_SOURCE), best_span(tags, _B_CUE, _I_CUE)
    source_span = None if source is None else _characters(text, offsets, *source)
    cue_span = None if cue is None else _characters(text, offsets, *cue)
    if source_span is None and cue_span is None:
        return None
    kind = None
    if source is not None and source_span is not None:
        kind = SOURCE_TYPES[int(source_types[source[0] : source[1] + 1].sum(axis=0).argmax())]
    return Attribution(source=source_span, cue=cue_span, source_type=kind)


def _characters(text: str, offsets: NDArray[np.int32], first: int, last: int) -> Span | None:
    start, end = int(offsets[first, 0]), int(offsets[last, 1])
    # A SentencePiece token may carry the white space before its word.
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    # Tokens are parts of words, sources and cues are whole ones; a segment never ends inside a word.
    low, high = int(offsets[0, 0]), int(offsets[-1, 1])
    while low < start < end and text[start - 1].isalnum() and text[start].isalnum():
        start -= 1
    while start < end < high and text[end - 1].isalnum() and text[end].isalnum():
        end += 1
    return Span(start, end) if start < end else None
