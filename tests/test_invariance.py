"""A record depends on the page and the model alone."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import annotator
from annotator.dataset import read_pages
from annotator.records import Article, check_spans


@pytest.fixture(scope="module")
def pages(repository):
    return [page.article for page in read_pages(repository / "labels" / "gate.jsonl")][:6]


@pytest.fixture(scope="module")
def model():
    return annotator.load(threads=1)


@pytest.fixture(scope="module")
def alone(model, pages):
    return {page.article_id: model.score(page).to_dict() for page in pages}


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_order_company_and_threads_change_nothing(pages, alone, threads):
    model = annotator.load(threads=threads)
    shuffled = pages * 2
    random.Random(threads).shuffle(shuffled)
    for scored in model.score_many(shuffled):
        assert scored.to_dict() == alone[scored.article.article_id]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(), max_size=300))
def test_any_text_is_scored_whole_and_the_same_twice(model, text):
    article = Article(article_id="x", text=text)
    scored = model.score(article)
    check_spans(text, [segment.span for segment in scored.segments], where="x")
    assert model.score(article) == scored
    for segment in scored.segments:
        attribution = segment.attribution
        for span in (attribution.source, attribution.cue) if attribution else ():
            assert span is None or segment.span.start <= span.start < span.end <= segment.span.end
