"""Several annotators of one page: truth, what is undecided, how labels came about, weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled_pages import TEXT, page

from annotator.dataset import digest, stats
from annotator.merging import SegmentWeights, merge, origins, read_votes, undecided, weighted
from annotator.records import LABELS, Label

SPANS = ((0, 20), (22, 68), (69, 106))
CLAIM, QUOTE, FRAMING, FURNITURE = LABELS


def work(name, labels, *, origin="kept", day=1, number=1, **fields):
    """One person's annotation of the test page; ``origin`` for all segments, or one each."""
    ways = [origin] * len(SPANS) if isinstance(origin, str) else origin
    segments = [
        {"start": a, "end": b, "label": str(label), "origin": way}
        for (a, b), label, way in zip(SPANS, labels, ways, strict=True)
    ]
    stamp = f"2026-03-{day:02d}T10:00:00Z"
    base = {"annotator": name, "created_at": stamp, "updated_at": stamp, "annotation_id": number, "task_id": 7}
    return base | {"model_version": "v1", "segments": segments} | fields


def annotated(*annotations):
    return page(segments=merge(annotations, TEXT), annotations=annotations)


SAME = (CLAIM, CLAIM, QUOTE)


def test_the_majority_decides_and_nothing_is_undecided():
    found = annotated(work("a", SAME), work("b", (CLAIM, FRAMING, QUOTE)), work("c", (CLAIM, FRAMING, QUOTE), day=2))
    assert [seg.label for seg in found.segments] == [CLAIM, FRAMING, QUOTE]
    assert found.segments[1].also is CLAIM
    assert undecided(found) == []


def test_a_tie_stands_as_the_latest_has_it_and_waits_for_a_decision():
    found = annotated(work("a", SAME), work("b", (CLAIM, FRAMING, QUOTE), day=2))
    assert found.segments[1].label is FRAMING
    (item,) = undecided(found)
    assert (item.reason, item.span.start, item.labels, item.task_ids) == ("tie", 22, {"a": CLAIM, "b": FRAMING}, (7,))
    assert origins(found) == ["kept", "undecided", "kept"]


def test_what_somebody_wants_discussed_waits_for_a_decision():
    found = annotated(work("a", SAME, discuss=[[69, 106]]))
    assert [(item.reason, item.span.start) for item in undecided(found)] == [("discuss", 69)]


def test_the_star_decides_the_page():
    decision = work("judge", (FURNITURE, FRAMING, QUOTE), origin="changed", number=9, ground_truth=True)
    found = annotated(work("a", SAME, discuss=[[0, 20]], day=3), work("b", (CLAIM, FRAMING, QUOTE), day=4), decision)
    assert [seg.label for seg in found.segments] == [FURNITURE, FRAMING, QUOTE]
    assert undecided(found) == []
    assert set(origins(found)) == {"decided"}


def test_a_decision_that_asks_for_discussion_leaves_that_segment_open():
    found = annotated(work("a", SAME), work("judge", SAME, day=2, ground_truth=True, discuss=[[0, 20]]))
    assert [(item.reason, item.span.start) for item in undecided(found)] == [("discuss", 0)]


def test_a_label_that_one_of_two_drew_is_not_only_kept():
    found = annotated(work("a", SAME), work("b", SAME, origin=("drawn", "changed", "kept"), day=2))
    assert origins(found) == ["drawn", "changed", "kept"]


def test_only_those_who_chose_the_label_count_for_its_origin():
    found = annotated(
        work("a", SAME), work("b", SAME, day=2), work("c", (CLAIM, FRAMING, QUOTE), origin="changed", day=3)
    )
    assert origins(found) == ["changed", "kept", "changed"]


def test_weights_and_digest_follow_the_origins():
    found = annotated(work("a", SAME, origin=("kept", "changed", "kept"), discuss=[[69, 106]]))
    heavy = weighted(found, SegmentWeights(kept=0.25))
    assert [seg.weight for seg in heavy.segments] == [0.25, 1.0, 0.0]
    assert digest([heavy]) != digest([found])
    assert digest([weighted(found, SegmentWeights(kept=1, undecided=1))]) == digest([found])
    assert weighted(page(), SegmentWeights()) == page()
    assert "weight" not in heavy.to_dict()["segments"][0]


def test_stats_count_kept_labels_apart():
    found = annotated(work("a", SAME, origin=("kept", "changed", "kept"), discuss=[[69, 106]]))
    counted = stats([found, page("p2")]).origins
    assert counted == {"written": 3, "drawn": 0, "changed": 1, "kept": 1, "undecided": 1, "decided": 0}


def test_skips_are_no_votes_and_a_person_has_one():
    skip = work("c", SAME, day=9, skipped=True) | {"segments": []}
    votes = read_votes([work("a", SAME, day=3), skip, work("a", SAME, day=1, number=2), work("b", SAME, day=2)], TEXT)
    assert [(vote.annotator, vote.updated_at[8:10]) for vote in votes] == [("b", "02"), ("a", "03")]
    assert merge([skip], TEXT) == ()


LABEL_ROWS = st.lists(st.tuples(*[st.sampled_from(LABELS)] * 3), min_size=1, max_size=5)


@given(LABEL_ROWS, st.randoms(use_true_random=False))
def test_the_truth_is_a_label_most_chose_and_the_order_of_annotations_does_not_matter(rows, shuffler):
    given_ = [work(f"a{n}", row, day=n + 1, number=n) for n, row in enumerate(rows)]
    found = annotated(*given_)
    shuffled = list(given_)
    shuffler.shuffle(shuffled)
    assert merge(shuffled, TEXT) == found.segments
    open_places = {item.span for item in undecided(found)}
    for index, seg in enumerate(found.segments):
        counts = {label: sum(row[index] is label for row in rows) for label in LABELS}
        assert counts[seg.label] == max(counts.values())
        assert (list(counts.values()).count(counts[seg.label]) > 1) == (seg.span in open_places)


@pytest.mark.parametrize(("cut", "expected"), [(30, FRAMING), (60, CLAIM)])
def test_a_vote_on_other_borders_is_the_label_that_covers_most(cut, expected):
    other = work("b", SAME)
    parts = [(0, 20, CLAIM), (22, cut, CLAIM), (cut, 106, FRAMING)]
    other["segments"] = [{"start": a, "end": b, "label": str(label), "origin": "drawn"} for a, b, label in parts]
    found = replace(annotated(work("a", SAME, day=2)), annotations=(work("a", SAME, day=2), other))
    labels = {item.span.start: item.labels["b"] for item in undecided(found)}
    assert labels.get(22, Label.REPORTED_CLAIM) is expected


def test_a_carried_source_points_into_the_segments_that_stand_and_goes_with_its_source():
    def spoken(name, parts, day):
        segments = [
            {"start": a, "end": b, "label": str(label), "attribution": said, "origin": "drawn"}
            for a, b, label, said in parts
        ]
        return work(name, SAME, day=day) | {"segments": segments}

    source = {"source": [28, 43], "source_type": "organisation"}
    carried = {"source_segment": 1, "source_type": "organisation"}
    other = (0, 20, CLAIM, None), (22, 68, CLAIM, source), (69, 106, QUOTE, carried)
    latest = (0, 10, CLAIM, None), (11, 20, CLAIM, None), (22, 68, CLAIM, source), (69, 106, FURNITURE, None)
    found = merge([spoken("a", other, 1), spoken("b", other, 2), spoken("c", latest, 3)], TEXT)
    assert found[3].label is QUOTE
    assert found[3].attribution.source_segment == 2
    silent = tuple((a, b, FURNITURE if a == 22 else label, None if a == 22 else said) for a, b, label, said in latest)
    found = merge([spoken("a", other, 1), spoken("b", silent, 2), spoken("c", silent[:3] + other[2:], 3)], TEXT)
    assert [seg.label for seg in found][2:] == [FURNITURE, QUOTE]
    assert found[3].attribution is None
