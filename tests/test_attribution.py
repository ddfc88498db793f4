"""From tag logits to sources and cues: whole words, inside the segment, nothing on framing and furniture."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from annotator.attribution import attribute
from annotator.records import Label

TEXT = "Le maire. L’économiste belge plaide pour un moratoire, selon l'Élysée. Fin."
SEGMENT = (10, 71)
CUTS = st.lists(st.integers(SEGMENT[0] + 1, SEGMENT[1] - 1), max_size=30, unique=True).map(sorted)


def pieces(cuts):
    edges = [SEGMENT[0], *cuts, SEGMENT[1]]
    return np.array(list(pairwise(edges)), dtype=np.int32)


@given(st.data(), CUTS)
def test_sources_and_cues_are_whole_words_of_the_segment(data, cuts):
    offsets = pieces(cuts)
    shape = (len(offsets), 5)
    tags = data.draw(arrays(np.float32, shape, elements=st.floats(-5, 5, width=32)))
    found = attribute(TEXT, Label.REPORTED_CLAIM, tags, np.zeros(shape, dtype=np.float32), offsets)
    for span in () if found is None else (found.source, found.cue):
        if span is None:
            continue
        assert SEGMENT[0] <= span.start < span.end <= SEGMENT[1]
        assert not (TEXT[span.start - 1].isalnum() and TEXT[span.start].isalnum())
        assert not (TEXT[span.end - 1].isalnum() and TEXT[span.end : span.end + 1].isalnum())
        assert TEXT[span.start : span.end].strip() == TEXT[span.start : span.end]
    assert attribute(TEXT, Label.BOILERPLATE, tags, tags, offsets) is None


def test_a_cue_that_ends_inside_a_word_is_that_word():
    at = TEXT.index("plaide")
    offsets = pieces([at, at + 3, at + 6])
    tags = np.full((4, 5), -9, dtype=np.float32)
    tags[:, 0] = 0
    tags[1, 3] = 5
    found = attribute(TEXT, Label.REPORTED_CLAIM, tags, np.zeros((4, 5), dtype=np.float32), offsets)
    assert TEXT[found.cue.start : found.cue.end] == "plaide"
    assert found.source is None
