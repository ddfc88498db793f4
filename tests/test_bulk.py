"""Many articles at a time: order, bounds, failures; that no record depends on it is also in test_invariance.py."""

from __future__ import annotations

import pytest

import annotator
from annotator import pipeline
from annotator.bulk import EngineConfig, score_articles, score_inputs
from annotator.reader import ReadFailure
from annotator.records import Article

TEXTS = [f"Le pont {n} ferme jeudi, selon la mairie. " * (1 + n * 5 % 7) for n in range(24)]
PAGES = [Article(article_id=str(n), text=text) for n, text in enumerate(TEXTS)]


@pytest.fixture(scope="module")
def model():
    return annotator.load(threads=1).classifier


@pytest.fixture(scope="module")
def alone(model):
    return [pipeline.score(page, model) for page in PAGES]


@pytest.mark.parametrize(("workers", "session_threads", "ahead"), [(1, 1, 1), (3, 1, 2), (2, 2, 64)])
def test_records_and_order_are_those_of_pages_scored_alone(alone, workers, session_threads, ahead):
    classifier = annotator.load(threads=session_threads).classifier
    config = EngineConfig(workers=workers, session_threads=session_threads, ahead=ahead)
    assert list(score_articles(PAGES, classifier, config)) == alone


@pytest.mark.parametrize("config", [EngineConfig(workers=2, ahead=5), EngineConfig(workers=2, ahead_characters=600)])
def test_no_more_is_read_ahead_than_allowed(model, config):
    read = written = 0

    def reading():
        nonlocal read
        for page in PAGES:
            read += 1
            yield page

    for _ in score_articles(reading(), model, config):
        written += 1
        waiting = PAGES[written - 1 : read]
        assert len(waiting) <= config.ahead + 1
        assert sum(len(page.text) for page in waiting[:-1]) <= config.ahead_characters
    assert written == len(PAGES)


def test_a_caller_may_stop_early(model):
    results = score_articles(iter(PAGES), model, EngineConfig(workers=2))
    assert next(results).article.article_id == "0"
    results.close()


def test_an_article_is_scored_twice_before_it_fails(model, monkeypatch):
    calls: dict[int, int] = {}
    logits = model.logits

    def faulty(page):
        size = sum(map(len, page.ids))
        calls[size] = calls.get(size, 0) + 1
        if size == sizes[0] and calls[size] == 1:
            raise MemoryError("no room\nfor now")
        if size == sizes[1]:
            raise MemoryError("no room\nat all")
        return logits(page)

    pages = [Article(article_id=str(n), text="Il pleut sur Brest. " * (n + 1)) for n in range(3)]
    sentence = len(model.tokenizer.encode("Il pleut sur Brest.", add_special_tokens=False).ids)
    sizes = [sentence, 2 * sentence]
    monkeypatch.setattr(model, "logits", faulty)
    first, second, third = score_articles(pages, model, EngineConfig(workers=2))
    assert len(first.segments) == 1
    assert second == ReadFailure("1", "scoring failed: MemoryError: no room at all")
    assert len(third.segments) == 3
    assert calls[sizes[0]] == calls[sizes[1]] == 2


def test_refused_articles_are_not_scored(model, tmp_path):
    (tmp_path / "a.txt").write_text("Il pleut sur Brest.", encoding="utf-8")
    (tmp_path / "b.txt").write_text("Il vente sur Brest.", encoding="utf-8")
    scored = score_inputs([tmp_path], model, on_failure=pytest.fail, keep=lambda page: "vente" in page.text)
    assert [page.article.text for page in scored] == ["Il vente sur Brest."]


def test_threads_are_shared_out():
    assert EngineConfig.for_threads(4) == EngineConfig(workers=4, session_threads=1)
    assert EngineConfig.for_threads(4, workers=2) == EngineConfig(workers=2, session_threads=2)
    assert EngineConfig.for_threads(2, workers=4) == EngineConfig(workers=4, session_threads=1)
    assert EngineConfig.for_threads(2, workers=900).workers == 8
