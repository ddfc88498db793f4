from __future__ import annotations

import copy
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scored_pages import LINKED, PAGE, linked, scored

from annotator.labelstudio.anchor import read_result
from annotator.labelstudio.convert import prediction, shown_text
from annotator.labelstudio.regions import Refusal
from annotator.records import Span, check_spans


def region(start, end, label="reported_claim", key=None, *, control="label", kind="labels", text=None):
    value = {"start": start, "end": end, "text": PAGE[start:end] if text is None else text, kind: [label]}
    return {"id": key or f"hand{start}", "from_name": control, "to_name": "text", "type": kind, "value": value}


def whole(*borders, labels=None):
    spans = list(pairwise(borders))
    return [region(*span, label) for span, label in zip(spans, labels or ["reported_claim"] * len(spans), strict=True)]


def read(result):
    return read_result(result, PAGE)


def predicted():
    return copy.deepcopy(prediction(scored())["result"])


def set_label(result, start, label):
    for item in result:
        if item["from_name"] == "label" and item["value"]["start"] == start:
            item["value"]["labels"] = [label]
    return result


HEADLINE, CLAIM, QUOTE, LINK = (0, 20), (22, 68), (69, 106), (107, len(PAGE))


def test_the_page_is_cut_as_the_tests_think():
    assert [PAGE[a:b][:4] for a, b in (HEADLINE, CLAIM, QUOTE, LINK)] == ["Le p", "Selo", "« En", "Lire"]


def test_people_may_split_and_merge_segments():
    found = read([region(0, 7), region(8, 20), region(22, 106), region(107, len(PAGE), "boilerplate")])
    assert [s.span for s in found.segments] == [Span(0, 7), Span(8, 20), Span(22, 106), Span(*LINK)]
    assert {s.origin for s in found.segments} == {"drawn"}


def test_a_trailing_space_is_left_out():
    found = read([region(0, 22), region(22, 69), region(*QUOTE), region(*LINK)])
    assert [(s.span.start, s.span.end) for s in found.segments] == [HEADLINE, CLAIM, QUOTE, LINK]


@pytest.mark.parametrize(
    "borders",
    [
        [HEADLINE, (22, 67), QUOTE, LINK],  # the full stop left out
        [HEADLINE, CLAIM, (71, 105), LINK],  # the opening mark and the full stop
        [(0, 19), CLAIM, QUOTE, LINK],  # the end of a word
        [HEADLINE, (24, 68), QUOTE, LINK],  # the beginning of a word
        [HEADLINE, (22, 70), (69, 106), LINK],  # an opening mark in both
    ],
)
def test_what_a_hand_left_out_is_given_back(borders):
    found = read([region(*border, key=f"h{n}") for n, border in enumerate(borders)])
    check_spans(PAGE, [s.span for s in found.segments], where="test")
    assert len(found.segments) == 4
    if borders[1] != (22, 70):  # where both claim a mark, the first has it
        assert [(s.span.start, s.span.end) for s in found.segments] == [HEADLINE, CLAIM, QUOTE, LINK]


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ([], "empty"),
        ([region(*HEADLINE), region(*QUOTE), region(*LINK)], r"characters \[20, 69\) are in no segment"),
        ([region(*HEADLINE), region(22, 80), region(69, 106), region(*LINK)], "overlap"),
        ([region(0, 106), region(22, 68), region(*LINK)], "overlap"),
        ([region(5, 3)], "reversed"),
        ([region(0, 9999)], "outside the text"),
        ([region(-4, 3)], "reversed"),
        ([region(0, 20, text="autre texte")], "offsets have shifted"),
        ([region(0, 20, "weather")], "unknown"),
        ([region("0", 20, text="x")], "offsets"),
        ([{"id": "a", "from_name": "label", "type": "labels"}], "no value"),
        ([region(*HEADLINE, "yes", control="discuss", kind="choices")], "empty"),
    ],
)
def test_what_is_not_plain_is_refused_with_its_reason(result, words):
    with pytest.raises(Refusal, match=words):
        read(result)


def test_two_labels_on_one_region_are_refused():
    result = predicted()
    result[0]["value"]["labels"] = ["reported_claim", "boilerplate"]
    with pytest.raises(Refusal, match="holds 2 values"):
        read(result)


def test_one_id_with_two_places_is_refused():
    result = predicted()
    result[1] = {
        **result[1],
        "id": result[0]["id"],
        "value": {**result[1]["value"], "start": 22, "end": 68, "text": PAGE[22:68]},
    }
    with pytest.raises(Refusal, match="shares its id"):
        read(result)


def test_a_refusal_never_tells_the_text():
    with pytest.raises(Refusal) as caught:
        read([region(*HEADLINE), region(*QUOTE), region(*LINK)])
    assert "capitainerie" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_changed_label_is_recorded_as_changed_and_the_rest_as_kept():
    found = read(set_label(predicted(), 0, "editorial_framing"))
    assert [s.origin for s in found.segments] == ["changed", "kept", "kept"]


def test_a_deleted_mark_makes_its_segment_changed():
    result = [item for item in predicted() if item["value"].get("labels") != ["cue"]]
    found = read(result)
    assert [s.origin for s in found.segments] == ["kept", "changed", "kept"]
    assert found.segments[1].attribution.cue is None


def arrows(result):
    return [item for item in result if item["type"] == "relation"]


def read_linked(change):
    result = copy.deepcopy(prediction(linked())["result"])
    return read_result(change(result) or result, LINKED)


def test_an_arrow_that_is_drawn_round_the_other_way_is_read_as_its_direction_says():
    def turn(result):
        for arrow in arrows(result):
            arrow["from_id"], arrow["to_id"], arrow["direction"] = arrow["to_id"], arrow["from_id"], "left"

    assert {s.origin for s in read_linked(turn).segments} == {"kept"}


def test_an_arrow_that_was_deleted_is_a_correction():
    found = read_linked(lambda result: [item for item in result if item["type"] != "relation"])
    assert [s.origin for s in found.segments] == ["kept", "changed", "changed", "kept"]
    assert found.segments[1].attribution.antecedent is None
    assert found.segments[2].attribution is None


def test_an_arrow_to_another_name_is_a_correction():
    def elsewhere(result):
        docker = next(i["id"] for i in result if i.get("value", {}).get("text") == "un docker")
        for arrow in arrows(result):
            arrow["to_id"] = docker

    found = read_linked(elsewhere)
    assert LINKED[found.segments[1].attribution.antecedent.start :].startswith("un docker")
    assert found.segments[2].attribution.source_segment == 3
    assert found.segments[2].attribution.source_type == "anonymous"  # it goes with the source


def test_an_arrow_from_a_cue_alone_carries_the_source_too():
    def from_the_cue(result):
        own = next(i for i in result if i["type"] == "relation" and i["from_id"].startswith("q"))
        value = {"start": own_start(result, own), "end": own_start(result, own) + 1, "text": "«", "labels": ["cue"]}
        result.append({"id": "hand", "from_name": "mark", "to_name": "text", "type": "labels", "value": value})
        own["from_id"] = "hand"

    def own_start(result, arrow):
        return next(i["value"]["start"] for i in result if i.get("id") == arrow["from_id"])

    assert read_linked(from_the_cue).segments[2].attribution.source_segment == 1


def test_arrows_that_end_at_no_source_are_passed_over():
    def to_the_cue(result):
        cue = next(i["id"] for i in result if i.get("value", {}).get("text") == "souffle")
        for arrow in arrows(result):
            arrow["to_id"] = cue
        result.append({"type": "relation", "from_id": "gone", "to_id": "gone too", "direction": "bi"})

    assert all(s.attribution is None or s.attribution.antecedent is None for s in read_linked(to_the_cue).segments)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: [*r, {**arrows(r)[0], "to_id": arrow_end(r, "un docker")}], "arrows to two sources"),
        (lambda r: [*r, {**arrows(r)[0], "from_id": segment_id(r, 0)}], "a source of its own"),
        (
            lambda r: [i for i in r if i.get("value", {}).get("text") not in ("un docker", "souffle")],
            "nobody who speaks",
        ),
    ],
)
def test_arrows_and_marks_that_contradict_each_other_are_refused(change, words):
    with pytest.raises(Refusal, match=words):
        read_linked(change)


def arrow_end(result, text):
    return next(i["id"] for i in result if i.get("value", {}).get("text") == text)


def segment_id(result, start):
    return next(i["id"] for i in result if i.get("from_name") == "label" and i["value"]["start"] == start)


def test_predicted_marks_fall_with_a_label_that_takes_none():
    found = read(set_label(predicted(), 22, "boilerplate"))
    assert found.segments[1].attribution is None
    assert found.marks_dropped == 2


def test_a_drawn_mark_on_such_a_label_is_refused():
    result = [*set_label(predicted(), 22, "boilerplate"), region(28, 43, "source", "h", control="mark")]
    with pytest.raises(Refusal, match="takes no attribution"):
        read(result)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (region(60, 75, "source", "h", control="mark"), "not inside one segment"),
        (region(28, 43, "source", "h", control="mark"), "two regions for source"),
        (region(28, 43, "alien", "h", control="mark"), "unknown"),
    ],
)
def test_marks_that_fit_nowhere_are_refused(extra, words):
    spans = [Span(*HEADLINE), Span(*CLAIM), Span(*QUOTE), Span(*LINK)]
    result = copy.deepcopy(prediction(scored(spans=spans))["result"])
    with pytest.raises(Refusal, match=words):
        read([*result, extra])


def test_the_kind_of_source_may_stand_on_a_lone_cue():
    result = [
        *whole(0, len(PAGE)),
        region(22, 27, "cue", "c", control="mark"),
        region(22, 27, "organisation", "c", control="source_type", kind="choices"),
    ]
    said = read(result).segments[0].attribution
    assert (said.source, said.cue, said.source_type) == (None, Span(22, 27), "organisation")


def test_discussion_remarks_and_the_comment_come_back():
    result = [
        *predicted(),
        region(*HEADLINE, "yes", predicted()[0]["id"], control="discuss", kind="choices"),
        region(*HEADLINE, "Titre ou légende ?", predicted()[0]["id"], control="note", kind="textarea")
        | {"value": {"start": 0, "end": 20, "text": ["Titre ou légende ?"]}},
        {"id": "c", "from_name": "comment", "to_name": "text", "type": "textarea", "value": {"text": ["Page lente"]}},
    ]
    found = read(result)
    assert [s.discuss for s in found.segments] == [True, False, False]
    assert found.segments[0].notes == ("Titre ou légende ?",)
    assert found.comment == "Page lente"
    assert found.segments[0].origin == "kept"


def test_results_of_other_controls_and_relations_are_left_aside():
    extra = [{"type": "relation", "from_id": "a", "to_id": "b"}, region(0, 3, "x", "y", control="mood")]
    assert len(read([*predicted(), *extra]).segments) == 3


@given(st.sets(st.integers(1, len(PAGE) - 1), max_size=6), st.randoms(use_true_random=False))
def test_any_cut_of_the_page_covers_it_or_is_refused(cuts, random):
    borders = [0, *sorted(cuts), len(PAGE)]
    result = whole(*borders)
    random.shuffle(result)
    try:
        found = read(result)
    except Refusal:
        return
    check_spans(PAGE, [s.span for s in found.segments], where="test")
    assert all(PAGE[s.span.start] != " " and PAGE[s.span.end - 1] != " " for s in found.segments)


@given(st.lists(st.tuples(st.integers(-2, len(PAGE) + 2), st.integers(-2, len(PAGE) + 2)), max_size=5))
def test_any_regions_cover_the_page_or_are_refused(places):
    result = [region(a, b, key=f"r{n}", text="") | {} for n, (a, b) in enumerate(places)]
    for item in result:
        del item["value"]["text"]
    try:
        found = read(result)
    except Refusal:
        return
    check_spans(PAGE, [s.span for s in found.segments], where="test")


def test_line_ends_of_the_browser_do_not_matter():
    text = "Une ligne\r\nune autre"
    shown = shown_text(text)
    item = region(0, len(text), text="Une ligne\\nune autre")
    assert read_result([item], shown).segments[0].span == Span(0, len(text))
