from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scored_pages import LINKED, NASTY, PAGE, lines_of, linked, long_page, scored, task

from annotator.errors import RecordError
from annotator.labelstudio.anchor import read_result
from annotator.labelstudio.convert import (
    RegionId,
    altered_characters,
    article_of,
    prediction,
    restored_text,
    shown_text,
    task_data,
)
from annotator.labelstudio.pages import read_task
from annotator.records import Attribution, Span

ANY_TEXT = st.text(alphabet=st.characters(codec=None) | st.sampled_from("\r\n\0 \u00a0«é"), max_size=80)


def through_json(value):
    return json.loads(json.dumps(value, ensure_ascii=False).encode())


@given(ANY_TEXT)
def test_the_shown_text_has_the_same_length_and_comes_back(text):
    shown = shown_text(text)
    assert len(shown) == len(text)
    assert "\r" not in shown
    shown.encode("utf-8")  # what a database can hold
    assert restored_text(shown, through_json(altered_characters(text))) == text


def test_line_ends_are_sent_as_one_break_each():
    assert shown_text("a\r\nb\rc\nd") == "a \nb\nc\nd"


@given(ANY_TEXT.filter(lambda text: text.strip()))
def test_an_article_comes_back_from_its_task(text):
    article = scored("x").article
    article = replace(article, text=text)
    assert article_of(through_json(task_data(article))) == article


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"text": "autre chose"}, "not what was sent"),
        ({"text_sha256": "0" * 64}, "cannot be restored"),
        ({"altered": {"13": [10_000]}}, "does not fit"),
        ({"altered": [1]}, "not an object"),
        ({"article_id": None}, "no 'article_id'"),
    ],
)
def test_a_task_that_was_edited_is_refused(change, words):
    data = task_data(scored(NASTY).article) | change
    with pytest.raises(RecordError, match=words):
        article_of(data)


@pytest.mark.parametrize("text", [PAGE, NASTY, long_page(), "\r\n\r\nx\r\n"])
def test_an_accepted_prediction_gives_back_the_scored_segments(text):
    page = scored(text)
    read = read_result(through_json(prediction(page))["result"], shown_text(text))
    assert [(s.span, s.label, s.attribution, s.unverified) for s in read.segments] == [
        (s.span, s.label, s.attribution, s.unverified) for s in page.segments
    ]
    assert {s.origin for s in read.segments} == {"kept"}
    assert read.model_versions == ("v1",)


def test_what_a_segment_takes_from_another_is_an_arrow_and_comes_back():
    page = linked()
    result = prediction(page)["result"]
    ids = {item["id"] for item in result if "id" in item}
    arrows = [item for item in result if item["type"] == "relation"]
    assert len(arrows) == 2
    assert all(arrow[end] in ids for arrow in arrows for end in ("from_id", "to_id"))
    read = read_result(through_json(result), shown_text(LINKED))
    assert [s.attribution for s in read.segments] == [s.attribution for s in page.segments]
    assert {s.origin for s in read.segments} == {"kept"}


@given(ANY_TEXT.filter(lambda text: text.strip()), st.integers(0, 3))
def test_any_text_survives_the_round_trip(text, shift):
    page = scored(text, shift=shift)
    back = read_task(through_json(task(page)))
    assert back.quarantine == ()
    assert back.article == page.article
    found = back.annotations[0]
    assert [(s.span, s.label) for s in found.segments] == [(s.span, s.label) for s in page.segments]
    assert found.record["accepted"] is True


def test_region_texts_are_what_stands_at_their_offsets():
    page = scored(NASTY)
    shown = shown_text(NASTY)
    for item in prediction(page)["result"]:
        assert item["value"]["text"] == shown[item["value"]["start"] : item["value"]["end"]]


def test_region_ids_are_the_same_each_time_and_unique_to_a_control():
    first, again = (prediction(scored(NASTY))["result"] for _ in range(2))
    assert first == again
    keys = [(item["id"], item["from_name"]) for item in first]
    assert len(keys) == len(set(keys))
    other = {item["id"] for item in prediction(scored(NASTY, version="v2"))["result"]}
    assert other.isdisjoint(item["id"] for item in first)


@given(st.text(min_size=1).filter(lambda v: v.isprintable()), st.integers(0, 10**6), st.integers(1, 99))
def test_a_region_id_states_what_it_was_made_of(version, start, length):
    key = RegionId(code="q", span=Span(start, start + length), digest="0a1b2c3d", model_version=version)
    assert RegionId.parse(str(key)) == key


@pytest.mark.parametrize("given_id", ["x9_kLm", "", "q5-5-00000000-v", "z1-2-00000000-v", "r1-2-zz-v"])
def test_ids_of_label_studio_are_not_taken_for_ours(given_id):
    assert RegionId.parse(given_id) is None


def test_what_needs_review_has_its_own_mark_on_the_same_region():
    result = prediction(scored())["result"]
    labels = {item["id"] for item in result if item["from_name"] == "label"}
    review = {item["id"] for item in result if item["from_name"] == "review"}
    assert len(review) == sum(s.needs_review for s in scored().segments) == 1
    assert review < labels


def test_what_needs_review_heads_the_list_of_regions():
    page = scored("\n".join(f"Ligne {n}" for n in range(7)))
    order = [item["value"]["text"] for item in prediction(page)["result"] if item["from_name"] == "label"]
    assert order == [f"Ligne {n}" for n in (0, 3, 6, 1, 2, 4, 5)]


def test_the_task_score_is_the_mean_confidence():
    assert prediction(scored())["score"] == 0.7


def with_first(page, **changes):
    first, *rest = page.segments
    return replace(page, segments=(replace(first, **changes), *rest))


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (with_first(scored(), confidence=1.2), "not in 0..1"),
        (with_first(scored(), attribution=Attribution(source=Span(22, 25))), "lies outside"),
        (scored(spans=lines_of(PAGE)[1:]), "in no segment"),
        (scored(version=""), "no model_version"),
        (with_first(scored(), attribution=Attribution(source_segment=2)), "no segment that holds a source"),
    ],
)
def test_what_the_server_would_drop_is_refused_before_sending(page, words):
    with pytest.raises(RecordError, match=words):
        prediction(page)


@pytest.mark.parametrize(("text", "name"), [(" \r\n", "p1"), ("texte", ""), ("texte", "a\rb")])
def test_an_article_that_makes_no_task_is_refused(text, name):
    with pytest.raises(RecordError):
        task_data(scored(text, name).article)
