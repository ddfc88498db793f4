"""Scores of hand-made pages whose numbers can be worked out, and what holds for any page."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from annotator import metrics
from annotator.comparison import compare
from annotator.dataset import LabelledPage, LabelledSegment, digest, write_pages
from annotator.errors import InputError
from annotator.evaluation import align, evaluate
from annotator.records import LABELS, Article, Attribution, ScoredArticle, ScoredSegment, SourceType, Span

R, Q, E, B = LABELS
TEXT = "Le pont ferme. « Enfin », dit Ada Brume. On s'en réjouit."
SPANS = [(0, 14), (15, 40), (41, 57)]
SOURCE, CUE = Span(30, 39), Span(26, 29)
SAID = Attribution(source=SOURCE, cue=CUE, source_type=SourceType.PERSON)


def scored_segment(span, label, *, confidence=1.0, review=False, attribution=None):
    others = (1 - confidence) / 3
    probabilities = {name: confidence if name == label else others for name in LABELS}
    return ScoredSegment(
        span=Span(*span), label=label, confidence=confidence, probabilities=probabilities,
        needs_review=review, attribution=attribution,
    )  # fmt: skip


def record(article, segments, version="fr-test"):
    return ScoredArticle(article=article, model_version=version, segments=tuple(segments))


def labelled(article_id="p1", labels=(R, Q, E), *, text=TEXT, spans=SPANS, marks=(None, SAID, None), **changes):
    segments = tuple(
        LabelledSegment(span=Span(*span), label=label, attribution=mark)
        for span, label, mark in zip(spans, labels, marks, strict=True)
    )
    values = {"split": "gate", "genre": "daily", "topic": None} | changes
    return LabelledPage(article=Article(article_id=article_id, text=text), segments=segments, **values)


def oracle(pages, version="fr-test"):
    by_id = {page.article.article_id: page for page in pages}

    def score(article, spans):
        gold = by_id[article.article_id].segments
        assert spans is None or list(spans) == [seg.span for seg in gold]
        return record(
            article,
            [scored_segment((s.span.start, s.span.end), s.label, attribution=s.attribution) for s in gold],
            version,
        )

    return score


def always(segments, version="fr-test"):
    return lambda article, _: record(article, segments, version)


def sentences(labels_of_page, article_id="p1", **changes):
    """Make a page of one-character segments set apart by spaces."""
    text = " ".join("x" * len(labels_of_page))
    spans = [(2 * i, 2 * i + 1) for i in range(len(labels_of_page))]
    return labelled(article_id, labels_of_page, text=text, spans=spans, marks=[None] * len(spans), **changes)


def answering(answers, version="fr-test"):
    """Score the pages of ``sentences``: the labels given for each article, on the right boundaries."""

    def score(article, _):
        parts = [scored_segment((2 * i, 2 * i + 1), label) for i, label in enumerate(answers[article.article_id])]
        return record(article, parts, version)

    return score


# Alignment


@pytest.mark.parametrize(
    ("predicted", "expected"),
    [
        pytest.param([((0, 14), R), ((15, 40), Q), ((41, 57), E)], [R, Q, E], id="same boundaries"),
        pytest.param([((0, 14), R), ((15, 22), B), ((23, 40), Q), ((41, 57), E)], [R, Q, E], id="split: longer part"),
        pytest.param([((0, 7), B), ((7, 14), R), ((15, 40), Q), ((41, 57), E)], [B, Q, E], id="split evenly: first"),
        pytest.param([((0, 57), B)], [B, B, B], id="merged"),
        pytest.param([((0, 20), R), ((20, 57), E)], [R, E, E], id="shifted"),
        pytest.param([((0, 14), R), ((41, 57), E)], [R, None, E], id="one uncovered"),
        pytest.param([], [None, None, None], id="nothing predicted"),
    ],
)
def test_a_gold_segment_takes_the_label_that_covers_most_of_it(predicted, expected):
    page = labelled()
    segments = [scored_segment(span, label) for span, label in predicted]
    assert align(page.segments, record(page.article, segments)) == expected


def test_segments_that_merely_touch_do_not_cover():
    page = labelled(text="abcd", spans=[(0, 2), (2, 4)], labels=(R, Q), marks=(None, None))
    assert align(page.segments, record(page.article, [scored_segment((2, 4), B)])) == [None, B]


# Known numbers


def test_scores_of_a_small_page_are_those_worked_out_by_hand():
    # true R R R Q E B, predicted R R Q Q R B: F1 R 4/6, Q 2/3, E 0, B 1.
    page = sentences([R, R, R, Q, E, B])
    scores = evaluate([page], answering({"p1": [R, R, Q, Q, R, B]})).gold
    assert scores.confusion == ((2, 1, 0, 0, 0), (0, 1, 0, 0, 0), (1, 0, 0, 0, 0), (0, 0, 0, 1, 0))
    assert scores.accuracy.value == pytest.approx(4 / 6)
    assert [scores.labels[label].f1.value for label in LABELS] == pytest.approx([2 / 3, 2 / 3, 0, 1])
    assert scores.macro_f1.value == pytest.approx((2 / 3 + 2 / 3 + 0 + 1) / 4)
    quote = scores.labels[Q]
    assert (quote.precision, quote.recall, quote.gold, quote.predicted) == (0.5, 1.0, 1, 2)
    # With one article every resample is that article.
    assert (scores.macro_f1.low, scores.macro_f1.high) == (scores.macro_f1.value,) * 2


def test_own_boundaries_and_gold_boundaries_are_scored_apart():
    page = labelled()

    def score(article, spans):
        own = [(0, 40), (41, 57)]
        parts = own if spans is None else [(span.start, span.end) for span in spans]
        return record(article, [scored_segment(span, label) for span, label in zip(parts, (Q, E, E), strict=False)])

    result = evaluate([page], score)
    assert result.own.pages[0].predicted == (Q, Q, E)
    assert result.gold.pages[0].predicted == (Q, E, E)
    # Starts 15 and 41 in gold (the first segment has none); only 41 was found.
    assert (result.own.cuts.right, result.own.cuts.predicted, result.own.cuts.gold) == (1, 1, 2)
    assert (result.own.cuts.precision, result.own.cuts.recall) == (1.0, 0.5)
    assert result.gold.cuts.f1.value == 1.0


def test_unverified_is_scored_where_the_pages_judge_it():
    spans = [(0, 14), (15, 40), (41, 57)]
    judged = (True, False, True)
    page = labelled(labels=(R, Q, R))
    page = replace(page, segments=tuple(replace(s, unverified=u) for s, u in zip(page.segments, judged, strict=True)))
    found = [replace(scored_segment(span, R), unverified=u) for span, u in zip(spans, (True, True, None), strict=True)]
    result = evaluate([page], always(found))
    one = result.own.unverified
    assert (one.right, one.predicted, one.gold) == (1, 2, 2)
    assert any(row[0] == "F1 unverified (n=2)" for row in result.table())
    silent = evaluate([labelled()], always(found))
    assert silent.own.unverified.predicted == 0
    assert not any("unverified" in row[0] for row in silent.table())


def test_white_space_at_the_head_of_a_segment_does_not_move_its_start():
    page = labelled()
    shifted = [scored_segment(span, R) for span in [(0, 14), (14, 40), (40, 57)]]
    assert evaluate([page], always(shifted)).own.cuts.f1.value == 1.0


def test_a_label_that_is_nowhere_has_no_score_and_stays_out_of_the_mean():
    page = sentences([R, R, Q])
    scores = evaluate([page], answering({"p1": [R, R, R]})).gold
    assert np.isnan(scores.labels[B].f1.value)
    assert scores.macro_f1.value == pytest.approx((0.8 + 0) / 2)


def test_genres_are_scored_apart_and_the_largest_comes_first():
    pages = [sentences([R, Q], "p1", genre="daily"), sentences([E, E], "p2", genre="opinion"),
             sentences([E, B], "p3", genre="opinion"), sentences([R], "p4", genre=None)]  # fmt: skip
    answers = {"p1": [R, Q], "p2": [E, R], "p3": [E, B], "p4": [B]}
    genres = evaluate(pages, answering(answers)).own.genres
    assert [(name, one.pages, one.segments) for name, one in genres.items()] == [
        ("opinion", 2, 4),
        ("-", 1, 1),
        ("daily", 1, 2),
    ]
    assert genres["daily"].macro_f1 == 1.0
    assert genres["opinion"].macro_f1 == pytest.approx((0.8 + 1 + 0) / 3)  # E 0.8, B 1, R predicted once
    assert genres["-"].macro_f1 == 0.0


def test_the_label_of_a_second_reader_is_accepted_apart():
    page = sentences([R, R, Q])
    page = replace(page, segments=(replace(page.segments[0], also=E), *page.segments[1:]))
    scores = evaluate([page], answering({"p1": [E, E, Q]})).gold
    assert scores.accuracy.value == pytest.approx(1 / 3)
    assert scores.accuracy_also == pytest.approx(2 / 3)


def test_calibration_and_review_of_known_confidences():
    page = sentences([R, R, Q, Q])
    parts = [
        scored_segment((0, 1), R, confidence=0.9),
        scored_segment((2, 3), Q, confidence=0.7),
        scored_segment((4, 5), R, confidence=0.4, review=True),
        scored_segment((6, 7), Q, confidence=0.4, review=True),
    ]
    scores = evaluate([page], always(parts)).own
    # Each confidence is a bin: gaps 0.1, 0.7 and, of the two at 0.4 with one right, 0.1.
    assert scores.calibration.ece == pytest.approx((0.1 + 0.7 + 2 * 0.1) / 4)
    assert [(row.n, row.accuracy) for row in scores.calibration.bins] == [(2, 0.5), (1, 0.0), (1, 1.0)]
    brier = [0.1**2 + 3 * (0.1 / 3) ** 2, 0.7**2 + 0.9**2 + 2 * 0.1**2, 0.4**2 + 0.8**2 + 2 * 0.2**2,
             0.6**2 + 3 * 0.2**2]  # fmt: skip
    assert scores.calibration.brier == pytest.approx(sum(brier) / 4)
    assert (scores.review.share, scores.review.error_rate_passed, scores.review.error_rate_reviewed) == (0.5, 0.5, 0.5)


def test_a_segment_without_a_label_is_an_error_that_nobody_reviews_and_has_no_confidence():
    page = labelled()
    scores = evaluate([page], always([])).own  # breaks the schema: characters in no segment
    assert scores.failed == ("p1",)
    assert scores.calibration.n == 0
    assert np.isnan(scores.calibration.ece)
    assert (scores.review.share, scores.review.error_rate_passed) == (0.0, 1.0)


# Attribution


def attributions(predicted, *, page=None, spans=SPANS):
    """Score TEXT with the predicted attribution of each segment; return right, predicted, gold for each measure."""
    page = page or labelled()
    parts = [scored_segment(span, Q, attribution=mark) for span, mark in zip(spans, predicted, strict=True)]
    scores = evaluate([page], always(parts)).own
    assert not scores.failed
    return {name: (one.right, one.predicted, one.gold) for name, one in scores.attribution.items()}


def test_an_exact_attribution_counts_in_every_measure():
    assert set(attributions([None, SAID, None]).values()) == {(1, 1, 1)}


def test_a_span_that_shares_a_character_overlaps_and_one_that_touches_does_not():
    wide = Attribution(source=Span(25, 31), cue=Span(29, 30), source_type=SourceType.PERSON)
    counts = attributions([None, wide, None])
    assert counts["source_exact"] == (0, 1, 1)
    assert counts["source_overlap"] == counts["source_type"] == (1, 1, 1)
    assert counts["cue_overlap"] == (0, 1, 1)


def test_a_wrong_type_and_a_missing_type_are_wrong():
    for kind in (SourceType.MEDIA, None):
        counts = attributions([None, replace(SAID, source_type=kind), None])
        assert counts["source_exact"] == (1, 1, 1)
        assert counts["source_type"] == (0, 1, 1)


def test_an_attribution_where_gold_has_none_is_wrong_and_a_missing_one_is_missed():
    elsewhere = Attribution(source=Span(3, 7), source_type=SourceType.ORGANISATION)
    counts = attributions([elsewhere, None, None])
    assert counts["source_overlap"] == (0, 1, 1)
    assert counts["cue_exact"] == (0, 0, 1)


def test_of_several_sources_found_in_one_gold_segment_one_can_be_right():
    first = Attribution(source=Span(30, 33), source_type=SourceType.PERSON)
    second = Attribution(source=Span(34, 39), source_type=SourceType.PERSON)
    counts = attributions([None, first, second, None], spans=[(0, 14), (15, 33), (34, 40), (41, 57)])
    assert counts["source_exact"] == (0, 2, 1)
    assert counts["source_overlap"] == counts["source_type"] == (1, 2, 1)


def test_a_source_counts_on_the_gold_segment_that_holds_it_though_its_own_segment_spans_several():
    assert set(attributions([SAID], spans=[(0, 57)]).values()) == {(1, 1, 1)}


def test_a_cue_alone_is_scored_without_a_source():
    page = labelled(marks=(None, Attribution(cue=CUE, source_type=SourceType.PERSON), None))
    counts = attributions([None, Attribution(cue=CUE), None], page=page)
    assert counts["cue_exact"] == (1, 1, 1)
    assert counts["source_exact"] == counts["source_type"] == (0, 0, 0)


# Breakdowns


def test_a_page_that_breaks_the_scorer_counts_as_wrong_and_is_listed_without_its_text(caplog):
    pages = [labelled("p1"), labelled("p2")]
    score = oracle(pages)

    def breaking(article, spans):
        if article.article_id == "p2":
            raise ValueError(article.text)
        return score(article, spans)

    with caplog.at_level(logging.INFO, logger="annotator"):
        result = evaluate(pages, breaking)
    assert result.own.failed == result.gold.failed == ("p2",)
    assert result.own.accuracy.value == 0.5
    assert result.own.pages[1].predicted == (None, None, None)
    assert [row[-1] for row in result.own.confusion] == [1, 1, 1, 0]
    assert result.own.attribution["source_exact"].recall == 0.5
    assert result.own.cuts.recall == 0.5
    assert "p2" in caplog.text
    assert "ValueError" in caplog.text
    assert "pont" not in caplog.text


def test_a_record_of_another_text_or_with_a_label_missing_fails_its_page():
    page = labelled()
    other = Article(article_id="p1", text=TEXT.upper())
    assert evaluate([page], lambda *_: oracle([page])(other, None)).own.failed == ("p1",)
    bare = [replace(scored_segment(span, R), probabilities={R: 1.0}) for span in SPANS]
    assert evaluate([page], always(bare)).own.failed == ("p1",)


def test_nothing_to_score_no_resample_and_mixed_models_are_refused():
    page = labelled()
    with pytest.raises(InputError, match="no labelled segment"):
        evaluate([replace(page, segments=())], oracle([page]))
    with pytest.raises(InputError, match="0 resamples"):
        evaluate([page], oracle([page]), resamples=0)
    with pytest.raises(InputError, match="several models"):
        evaluate([page], lambda article, spans: oracle([page], f"fr-{spans is None}")(article, spans))


# Signature, JSON, table


def test_the_signature_says_what_the_scores_rest_on():
    pages = [labelled("p1"), labelled("p2")]
    result = evaluate(pages, oracle(pages, "fr-abc"), seed=3, resamples=20)
    data = digest(pages)
    assert result.data == data
    assert result.own.signature == (
        f"model:fr-abc|data:{data[:12]}|pages:2|segments:6|boundaries:own|seed:3|resamples:20|version:0.1.0"
    )
    assert "|boundaries:gold|" in result.gold.signature


def test_the_json_form_has_null_where_nothing_is_defined_and_no_text():
    page = sentences([R, R])
    result = evaluate([page], answering({"p1": [R, R]}))
    record_ = json.loads(json.dumps(result.to_dict(pages=True), allow_nan=False))
    assert record_["own"]["labels"]["boilerplate"]["f1"] == {"value": None, "low": None, "high": None}
    assert record_["own"]["pages"] == [
        {
            "article_id": "p1",
            "gold": ["reported_claim"] * 2,
            "predicted": ["reported_claim"] * 2,
            "confidence": [1.0, 1.0],
        }
    ]
    assert "pages" not in result.to_dict()["own"]
    assert page.article.text not in json.dumps(record_)


def test_tables_are_rectangles_of_text():
    pages = [labelled("p1"), labelled("p2", genre="opinion")]
    result = evaluate(pages, oracle(pages))
    for table in (result.table(), result.confusion_table(), result.confusion_table("gold")):
        assert {len(row) for row in table} == {len(table[0])}
        assert all(type(cell) is str for row in table for cell in row)
    rows = {name: (own, gold) for name, own, gold in result.table()}
    assert rows["macro-F1"] == ("1.000 [1.000, 1.000]",) * 2
    assert rows["F1 boilerplate (n=0)"][0].startswith("-")
    assert rows["macro-F1 opinion (1 pages, 3 segments)"] == ("1.000", "1.000")


# Comparison


def test_a_comparison_is_paired_and_names_the_segments_that_flipped():
    pages = [sentences([R, Q], f"p{i}") for i in range(6)]
    better = {page.article.article_id: [R, Q] for page in pages}
    worse = better | {"p3": [Q, Q], "p4": [R, R]}
    a, b = evaluate(pages, answering(worse, "fr-a")), evaluate(pages, answering(better, "fr-b"))
    result = compare(a, b)
    assert (result.a, result.b) == ("fr-a", "fr-b")
    assert result.macro_f1.value == pytest.approx(1 - a.own.macro_f1.value)
    assert 0 <= result.macro_f1.low <= result.macro_f1.value <= result.macro_f1.high
    assert result.labels[R].value == pytest.approx(1 - 10 / 12)
    assert [(f.article_id, f.segment, f.gold, f.a, f.b) for f in result.flips] == [
        ("p3", 0, R, Q, R),
        ("p4", 1, Q, R, Q),
    ]
    back = compare(b, a)
    assert back.macro_f1.value == pytest.approx(-result.macro_f1.value)
    assert back.macro_f1.low == pytest.approx(-result.macro_f1.high)
    json.dumps(result.to_dict(), allow_nan=False)


def test_a_model_compared_with_itself_differs_in_nothing():
    pages = [sentences([R, Q, E], f"p{i}") for i in range(4)]
    one = evaluate(pages, answering({page.article.article_id: [R, R, E] for page in pages}))
    result = compare(one, one, boundaries="gold")
    assert (result.macro_f1.low, result.macro_f1.value, result.macro_f1.high) == (0, 0, 0)
    assert result.flips == ()


def test_models_scored_on_different_pages_are_not_compared():
    one, two = labelled("p1"), labelled("p2")
    with pytest.raises(InputError, match="evaluate both models on the same pages"):
        compare(evaluate([one], oracle([one])), evaluate([two], oracle([two])))


# What holds for any page

labels = st.sampled_from(LABELS)
pairs = st.lists(st.tuples(labels, labels), min_size=1, max_size=40)
articles = st.lists(pairs, min_size=1, max_size=6)


def of_pairs(drawn):
    pages = [sentences([gold for gold, _ in one], f"p{i}") for i, one in enumerate(drawn)]
    return pages, {f"p{i}": [found for _, found in one] for i, one in enumerate(drawn)}


@given(st.lists(st.lists(labels, min_size=1, max_size=10), min_size=1, max_size=4))
@settings(deadline=None)
def test_perfect_predictions_score_one_everywhere(gold):
    pages = [sentences(part, f"p{i}") for i, part in enumerate(gold)] + [labelled("q")]
    result = evaluate(pages, oracle(pages), resamples=20)
    for scores in (result.own, result.gold):
        assert (scores.macro_f1.low, scores.macro_f1.value, scores.accuracy.value, scores.accuracy_also) == (1, 1, 1, 1)
        assert {one.f1.value for one in scores.labels.values() if one.gold} == {1}
        assert {one.macro_f1 for one in scores.genres.values()} == {1}
        assert {one.f1.value for one in (*scores.attribution.values(), scores.cuts)} == {1}
        assert (scores.calibration.ece, scores.calibration.brier, scores.review.error_rate_passed) == (0, 0, 0)


@given(pairs, st.randoms(use_true_random=False))
def test_macro_f1_is_that_of_scikit_learn(drawn, random):
    gold, found = ([LABELS.index(pair[i]) for pair in drawn] for i in (0, 1))
    missed = [metrics.MISSED if random.random() < 0.1 else one for one in found]
    for predicted in (found, missed):
        occurring = sorted({*gold, *predicted} - {metrics.MISSED})
        expected = f1_score(gold, predicted, average="macro", labels=occurring, zero_division=0)
        assert metrics.macro_f1(metrics.confusion(gold, predicted, classes=4)) == pytest.approx(expected)


@given(articles, st.permutations(LABELS))
@settings(deadline=None)
def test_renaming_the_labels_renames_the_scores(drawn, renamed):
    name = dict(zip(LABELS, renamed, strict=True))
    before = evaluate(of_pairs(drawn)[0], answering(of_pairs(drawn)[1]), resamples=20).gold
    pages, answers = of_pairs([[(name[gold], name[found]) for gold, found in one] for one in drawn])
    after = evaluate(pages, answering(answers), resamples=20).gold
    for key in ("value", "low", "high"):
        assert getattr(after.macro_f1, key) == pytest.approx(getattr(before.macro_f1, key))
        for label in LABELS:
            expected = getattr(before.labels[label].f1, key)
            assert getattr(after.labels[name[label]].f1, key) == pytest.approx(expected, nan_ok=True)


@given(articles, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_neither_the_order_of_pages_nor_a_second_run_changes_anything(drawn, random):
    pages, answers = of_pairs(drawn)
    shuffled = random.sample(pages, len(pages))
    first, second = (evaluate(one, answering(answers), resamples=50).to_dict(pages=True) for one in (pages, shuffled))
    assert first == second


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=25)
def test_the_interval_holds_the_point_estimate_of_a_big_sample(sample, seed):
    random = np.random.default_rng(sample)
    gold = random.integers(0, 4, size=(200, 20))
    found = np.where(random.random(gold.shape) < random.uniform(0.3, 0.9, size=(200, 1)), gold, (gold + 1) % 4)
    matrices = np.stack([metrics.confusion(a, b, classes=4) for a, b in zip(gold, found, strict=True)])
    drawn = metrics.resample(metrics.article_weights(200, seed=seed, resamples=1000), matrices)
    estimate = metrics.interval(metrics.macro_f1(matrices.sum(axis=0)), metrics.macro_f1(drawn))
    assert estimate.low < estimate.value < estimate.high
    assert estimate.high - estimate.low < 0.2


def test_weights_draw_as_many_articles_as_there_are_and_sum_their_counts():
    weights = metrics.article_weights(7, seed=1, resamples=30)
    assert weights.shape == (30, 7)
    assert set(weights.sum(axis=1)) == {7}
    counts = np.arange(7 * 2 * 3).reshape(7, 2, 3)
    drawn = metrics.resample(weights, counts)
    by_hand = sum(int(times) * counts[article] for article, times in enumerate(weights[0]))
    assert drawn.shape == (30, 2, 3)
    assert (drawn[0] == by_hand).all()


@given(st.lists(st.tuples(st.floats(0.25, 1), st.booleans()), min_size=1, max_size=200), st.randoms())
def test_calibration_bins_hold_every_prediction_once_in_any_order(drawn, random):
    error, bins = metrics.reliability(*zip(*drawn, strict=True))
    again, _ = metrics.reliability(*zip(*random.sample(drawn, len(drawn)), strict=True))
    assert error == pytest.approx(again)
    assert 0 <= error <= 1
    assert sum(row.n for row in bins) == len(drawn)
    assert len(bins) <= metrics.BINS
    assert all(left.high < right.low for left, right in pairwise(bins))


def test_calibration_bins_of_distinct_confidences_have_equal_mass():
    confidence = np.random.default_rng(0).permutation(np.linspace(0.3, 1, 150))
    _, bins = metrics.reliability(confidence, confidence > 0.5)
    assert len(bins) == 15
    assert {row.n for row in bins} <= {9, 10, 11}


# The baselines

SCRIPT = Path(__file__).parents[1] / "scripts" / "evaluate_baselines.py"
LINES = {
    R: "Le conseil de Brumeval a voté le budget du port",
    Q: "« Nous garderons le port ouvert », a dit la maire",
    E: "Quelle triste farce que ce budget indigne",
    B: "Lire aussi Abonnez-vous à la lettre du port",
}


def outlet_page(article_id, outlet):
    text = "\n".join(LINES.values())
    ends = np.cumsum([len(line) + 1 for line in LINES.values()])
    spans = [(int(end) - 1 - len(line), int(end) - 1) for end, line in zip(ends, LINES.values(), strict=True)]
    page = labelled(article_id, tuple(LINES), text=text, spans=spans, marks=[None] * 4)
    return replace(page, article=replace(page.article, outlet=outlet))


def test_the_baselines_are_scored_on_pages_of_other_outlets(tmp_path):
    train = [outlet_page(f"t{i}", f"Journal {name}") for i, name in enumerate("abcdef")]
    # The texts of this test are all alike, and a training page like a test page is dropped: give each its own words.
    train = [distinct(page, i) for i, page in enumerate(train)]
    test = [outlet_page("g0", "Gazette")]
    write_pages([*train, distinct(outlet_page("leak", "La Gazette (Gazette)"), 9), outlet_page("twin", "Autre")],
                tmp_path / "train.jsonl")  # fmt: skip
    write_pages(test, tmp_path / "gate.jsonl")
    command = [sys.executable, SCRIPT, "--train", tmp_path / "train.jsonl", "--test", tmp_path / "gate.jsonl"]
    command += ["--json", tmp_path / "out.json", "--resamples", "10"]
    environment = {"PYTHONPATH": str(SCRIPT.parents[1]), "PYTHONIOENCODING": "utf-8", "PATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "train: 6 pages, 24 segments; dropped 1 of outlets in the test, 1 near-duplicates" in done.stdout
    scores = json.loads((tmp_path / "out.json").read_text())[f"{tmp_path.name}/gate.jsonl"]
    assert [name.split("-C")[0] for name in scores] == ["majority", "quotation-marks", "tfidf-lr"]
    majority, marks, tfidf = (one["gold"] for one in scores.values())
    assert majority["accuracy"]["value"] == 0.25
    assert marks["labels"]["attributed_quote"]["f1"]["value"] == 1.0
    assert marks["accuracy"]["value"] == 0.5
    assert tfidf["accuracy"]["value"] == 1.0
    assert "| majority | 0.100 [0.100, 0.100] |" in done.stdout
    assert "budget" not in done.stdout + done.stderr


def distinct(page, number):
    """Put a number between the words, which breaks every run of eight, and keep each segment's length in step."""
    text = page.article.text.replace(" ", f" {number} ")
    spans, start = [], 0
    for line in text.split("\n"):
        spans.append(Span(start, start + len(line)))
        start += len(line) + 1
    segments = tuple(replace(seg, span=span) for seg, span in zip(page.segments, spans, strict=True))
    return replace(page, article=replace(page.article, text=text), segments=segments)
