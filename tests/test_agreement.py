"""Agreement: against the libraries' own figures and by hand; anchoring; disagreements."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled_pages import TEXT, page
from test_merging import SAME, work

pytest.importorskip("statsmodels", reason="the extra review is not installed (pip install 'annotator[review]')")

from annotator.errors import InputError
from annotator.merging import merge
from annotator.records import LABELS, Article, ScoredArticle, ScoredSegment, Span
from annotator.review.agreement import NONE, agreement, alpha, coincidences, confused

CLAIM, QUOTE, FRAMING, FURNITURE = LABELS


def reviewed(name, *annotations):
    return page(name, outlet=f"Journal {name}", segments=merge(annotations, TEXT), annotations=annotations)


def by(found):
    return {(m.measure, m.who): m for m in found.measures}


def test_alpha_is_that_of_the_paper():
    # Krippendorff 2011, section C: four observers, twelve units, nominal, values missing: 0.743.
    rows = [
        "1 2 3 3 2 1 4 1 2 . . .",
        "1 2 3 3 2 2 4 1 2 5 . 3",
        ". 3 3 3 2 3 4 2 2 5 1 .",
        "1 2 3 3 2 4 4 1 2 5 1 .",
    ]
    table = np.array([[NONE if v == "." else int(v) - 1 for v in row.split()] for row in rows]).T
    assert alpha(coincidences(table, 5).sum(axis=0)) == pytest.approx(0.743, abs=5e-4)


@given(st.lists(st.lists(st.integers(-1, 3), min_size=3, max_size=3), min_size=1, max_size=20))
def test_alpha_does_not_depend_on_who_rates_and_is_at_most_one(rows):
    table = np.array(rows)
    value = alpha(coincidences(table, 4).sum(axis=0))
    other = alpha(coincidences(table[:, ::-1], 4).sum(axis=0))
    assert np.isnan(value) == np.isnan(other)
    if not np.isnan(value):
        assert value == pytest.approx(float(other))
        assert value <= 1 + 1e-12


def test_agreement_among_annotators_and_where_they_differ():
    pages = [reviewed(f"p{n}", work("a", SAME), work("b", SAME, day=2)) for n in range(6)]
    pages.append(reviewed("q", work("a", SAME), work("b", (CLAIM, FRAMING, QUOTE), day=2)))
    found = agreement(pages, resamples=100)
    rows = by(found)
    pair = rows["cohen_kappa", "a and b"]
    assert (pair.segments, pair.articles) == (21, 7)
    agree, chance = 20 / 21, (14 * 13 + 7 * 7) / 21**2
    assert pair.estimate.value == pytest.approx((agree - chance) / (1 - chance))
    assert pair.estimate.low <= pair.estimate.value <= pair.estimate.high
    assert rows["fleiss_kappa", "everyone (2 a segment)"].estimate.value == pytest.approx(0.892, abs=0.01)
    assert rows["krippendorff_alpha", "everyone"].estimate.value == pytest.approx(0.894, abs=0.01)
    assert rows["krippendorff_alpha", "everyone, attributed_quote or not"].estimate.value == 1
    assert rows["krippendorff_alpha", "everyone, 2026-03"].articles == 7
    (item,) = found.disagreements
    assert (item.article_id, item.span, item.undecided) == ("q", Span(22, 68), "tie")
    assert item.to_dict()["labels"] == {"a": "reported_claim", "b": "editorial_framing"}
    assert confused(found.disagreements) == {("editorial_framing", "reported_claim"): 1}
    assert agreement(pages, resamples=100).to_dict() == found.to_dict()


def model_says(item, labels):
    segments = tuple(
        ScoredSegment(
            span=seg.span, label=label, confidence=1.0, probabilities={o: float(o is label) for o in LABELS},
            needs_review=False,
        )
        for seg, label in zip(item.segments, labels, strict=True)
    )  # fmt: skip
    article = Article(article_id=item.article.article_id, text=TEXT)
    return ScoredArticle(article=article, model_version="v1", segments=segments)


def test_anchoring_is_agreement_with_the_model_shown_minus_blind():
    wrong = (FURNITURE, CLAIM, QUOTE)
    shown = [reviewed(f"s{n}", work("a", wrong)) for n in range(8)]
    blind = [reviewed(f"b{n}", work("a", SAME, origin="drawn", model_version=None)) for n in range(8)]
    found = by(agreement([*shown, *blind], scored=[model_says(p, wrong) for p in (*shown, *blind)], resamples=100))
    assert found["share_as_model", "everyone, shown"].estimate.value == 1
    assert found["share_as_model", "everyone, blind"].estimate.value == pytest.approx(2 / 3)
    pull = found["anchoring", "shown minus blind"]
    assert pull.estimate.value == pytest.approx(1 / 3)
    assert (pull.segments, pull.articles) == (48, 16)
    assert ("cohen_kappa", "a and model") in found


def test_pages_without_annotations_are_refused():
    with pytest.raises(InputError, match="no page has annotations"):
        agreement([page()])
