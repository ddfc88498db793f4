"""Profiles: what is counted, and what the figures become."""

from __future__ import annotations

import json
import math
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profile_pages import facts, gate_pages, scored

from annotator.errors import ModelError, RecordError
from annotator.profile import (
    SIGNALS,
    ErrorModel,
    Profile,
    article_facts,
    profile_article,
    profile_facts,
    profile_outlets,
    record_facts,
)
from annotator.profile.error import CountError, ShareError, Spread
from annotator.profile.measure import measure_error
from annotator.records import Span

KNOWN = ErrorModel(
    pages=10,
    outlets=5,
    data="d" * 64,
    shares={
        "labels": ShareError(
            counts=((8, 1, 2, 0), (1, 9, 0, 0), (1, 0, 8, 0), (0, 0, 0, 5)),
            tuning=0.5,
            spread=Spread(segment=0.5, article=0.02, outlet=0.01, z=2.0),
        ),
        "sourced": ShareError(
            counts=((6, 3, 0), (0, 7, 0), (0, 0, 9)),
            tuning=1.0,
            spread=Spread(segment=1.0, article=0.0, outlet=0.0, z=2.0),
        ),
    },
    distinct=CountError(factor=1.2, source=0.4, unit=0.01, z=2.0),
    top=Spread(segment=0.25, article=0.0, outlet=0.0, z=2.0),
)


def page():
    body, reason = {"role": "body", "kind": "person"}, "sous couvert d'anonymat par crainte"
    return scored(
        ("E", "Le port trahi", {"role": "headline"}),
        ("R", "La criée ferme, selon Hervé Castain.", body | {"source": "Hervé Castain", "cue": "selon"}),
        ("Q", "« Assez », dit Castain.", body | {"source": "Castain", "cue": "dit", "unverified": True}),
        ("Q", "« Plus jamais ».", {"carried": 2, "role": "body", "unverified": False}),
        ("R", "Il part, dit-il.", body | {"source": "il", "cue": "dit"}),
        ("R", f"Une source parle {reason}.", body | {"source": "Une source", "kind": "anonymous", "reason": reason}),
        ("R", "Il pleut.", {"role": "body"}),
        ("B", "Lire aussi"),
    )  # fmt: skip


def test_counts_without_a_known_error():
    profile = profile_article(page(), None)
    found = {name: (figure.observed, figure.n) for name, figure in profile.figures.items()}
    assert found["labels.reported_claim"] == (round(4 / 7, 4), 7)
    assert found["labels.attributed_quote"] == (round(2 / 7, 4), 7)
    assert found["labels.editorial_framing"] == (round(1 / 7, 4), 7)
    lengths = [len("Le port trahi"), 36, 23, 16, 16, 53, 9]
    assert found["characters.attributed_quote"] == (round((23 + 16) / sum(lengths), 4), 7)
    assert found["headline.editorial_framing"] == (1.0, 1)
    assert found["body.reported_claim"] == (round(4 / 6, 4), 6)
    assert found["sourced"] == (round(5 / 6, 4), 6)  # the carried quotation is sourced
    assert found["source_types.person"] == (0.8, 5)
    assert found["source_types.anonymous"] == (0.2, 5)
    assert found["anonymous_explained"] == (1.0, 1)
    assert found["direct"] == (0.4, 5)
    assert found["unverified"] == (0.5, 2)  # of the two that were judged
    assert found["distinct_sources"] == (2, 4)
    assert found["top_source"] == (0.75, 4)
    assert (profile.articles, profile.segments, profile.boilerplate, profile.pronouns) == (1, 7, 1, 1)
    assert profile.characters == sum(lengths)
    assert [(one.name, one.source_type, one.n) for one in profile.sources] == [
        ("Hervé Castain", "person", 3),
        ("Une source", "anonymous", 1),
    ]
    for name, figure in profile.figures.items():
        assert figure.value == figure.observed
        assert not figure.corrected
        assert figure.low is None if name == "distinct_sources" else figure.low <= figure.value <= figure.high


def test_a_figure_is_corrected_by_the_confusion_matrix():
    # Said: 4 R, 2 Q, 1 E, 1 B. Of what it calls R, 8 of 10 are R, 1 Q, 1 E; of Q, 9 of 10 are Q, 1 R; of E, 8 of 10.
    full = [4 * 0.8 + 2 * 0.1 + 1 * 0.2, 4 * 0.1 + 2 * 0.9, 4 * 0.1 + 1 * 0.8]
    half = [(a + b) / 2 for a, b in zip(full, [4, 2, 1], strict=True)]
    profile = profile_article(page(), KNOWN)
    figure = profile.figures["labels.editorial_framing"]
    assert figure.value == round(half[2] / sum(half), 4)
    assert figure.observed == round(1 / 7, 4)
    # 7 segments of one article: as much as 1 / (0.5/7 + 0.02 + 0.01) labelled without error.
    size = 1 / (0.5 / 7 + 0.03)
    padded = (size * half[2] / sum(half) + 2) / (size + 4)
    reach = 2 * math.sqrt(padded * (1 - padded) / size)
    assert figure.high == pytest.approx(half[2] / sum(half) + reach, abs=1e-4)
    assert figure.low == pytest.approx(max(0, half[2] / sum(half) - reach), abs=1e-4)
    # Said: 5 sourced and 1 unsourced claims; 3 of 10 of what it calls unsourced is sourced.
    assert profile.figures["sourced"].value == round(5.3 / 6, 4)
    assert profile.figures["distinct_sources"].value == 2.5 * 1.2 - 0.5
    assert profile.figures["top_source"].value == 0.75
    assert profile.figures["top_source"].corrected
    assert not profile.figures["direct"].corrected  # its error is not known
    assert profile.figures["headline.editorial_framing"].corrected  # by that of the labels


def test_characters_weigh_as_many_equal_segments():
    one = scored(("R", "a" * 90), ("Q", "b" * 10))
    figure = profile_article(one, None).figures["characters.attributed_quote"]
    size = 100**2 / (90**2 + 10**2)  # Kish 1965
    padded = (size * 0.1 + 2) / (size + 4)
    assert figure.value == 0.1
    assert figure.high == pytest.approx(0.1 + 1.959964 * math.sqrt(padded * (1 - padded) / size), abs=1e-4)


def test_nothing_to_count_gives_no_figure():
    profile = profile_article(scored(("B", "Menu")), KNOWN)
    for name, figure in profile.figures.items():
        assert figure.n == 0
        assert figure.value is None or name == "distinct_sources"
    empty = profile_article(scored(), None)
    assert empty.figures["distinct_sources"].value == 0
    assert (empty.segments, empty.boilerplate, empty.sources) == (0, 0, ())


def test_a_matrix_that_leaves_nothing_inside_changes_nothing():
    away = ShareError(
        counts=((0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0), (9, 9, 9, 9)),
        tuning=1.0,
        spread=Spread(segment=1.0, article=0.0, outlet=0.0, z=2.0),
    )
    model = ErrorModel(pages=1, outlets=1, data="", shares={"labels": away}, distinct=None, top=None)
    assert profile_article(page(), model).figures["labels.editorial_framing"].value == round(1 / 7, 4)


def test_an_antecedent_gives_a_pronoun_its_name():
    lines = [
        ("R", "Ondine Karvel est venue."),
        ("R", "Elle promet, dit-elle.", {"source": "Elle", "kind": "person", "antecedent": Span(0, 13)}),
        ("Q", "« Oui », dit-elle.", {"carried": 1}),
    ]
    profile = profile_article(scored(*lines), None)
    assert [(one.name, one.n) for one in profile.sources] == [("Ondine Karvel", 2)]
    assert profile.pronouns == 0


def test_a_carried_source_follows_a_chain_and_survives_a_broken_one():
    quote = "« Un »."
    chain = [("R", "selon le maire", {"source": "le maire", "kind": "person"}), ("Q", quote, {"carried": 0}),
             ("Q", quote, {"carried": 1}), ("Q", quote, {"carried": 99}), ("Q", quote, {"carried": 4})]  # fmt: skip
    profile = profile_article(scored(*chain), None)
    assert profile.figures["sourced"].observed == 1.0
    assert [(one.name, one.source_type, one.n) for one in profile.sources] == [("le maire", "person", 3)]
    assert profile.pronouns == 2  # nobody to name: beyond the page, and itself


def test_lean_records_give_the_same_profile_and_bad_ones_are_named():
    whole = page()
    for lean in (False, True):
        record = json.loads(json.dumps(whole.to_dict(lean=lean)))
        assert record_facts(record) == article_facts(whole)
    record["segments"][1]["label"] = "poem"
    with pytest.raises(RecordError, match=r"^x\.jsonl:3: .*poem"):
        record_facts(record, where="x.jsonl:3")
    with pytest.raises(RecordError, match="schema 7"):
        record_facts({**record, "schema": 7})


LETTERS = st.text("RQEB", max_size=40)


@settings(deadline=None)
@given(LETTERS, st.sampled_from([None, KNOWN]))
def test_shares_are_shares(letters, error):
    profile = profile_facts(facts(letters, sourced=range(0, len(letters), 3)), error)
    assert list(profile.figures) == list(SIGNALS)
    for name, figure in profile.figures.items():
        if figure.value is None:
            assert figure.n == 0
            continue
        if name == "distinct_sources":
            assert figure.low is None or figure.low <= figure.value <= figure.high
        else:
            assert 0 <= figure.low <= figure.value <= figure.high <= 1
    for group in ("labels", "characters", "body", "source_types"):
        values = [
            f.value for name, f in profile.figures.items() if name.startswith(f"{group}.") and f.value is not None
        ]
        assert not values or sum(values) == pytest.approx(1, abs=3e-4)
    assert Profile.from_dict(json.loads(json.dumps(profile.to_dict()))) == profile


@settings(deadline=None)
@given(st.lists(LETTERS, min_size=1, max_size=6), st.randoms(use_true_random=False), st.sampled_from([None, KNOWN]))
def test_outlets_do_not_depend_on_the_order_of_articles(pages, rng, error):
    articles = [
        facts(page, article_id=str(i), outlet=f"o{i % 2}", sourced=range(i, len(page), 2))
        for i, page in enumerate(pages)
    ]
    expected = list(profile_outlets(articles, lambda _: error))
    rng.shuffle(articles)
    assert list(profile_outlets(articles, lambda _: error)) == expected


def test_an_outlet_of_one_article_has_its_figures():
    article = profile_article(page(), KNOWN)
    (outlet,) = profile_outlets([article_facts(page())], lambda _: KNOWN)
    assert (outlet.scope, outlet.article_id, outlet.outlet) == ("outlet", None, "Le Phare")
    assert outlet.figures == article.figures
    assert outlet.sources == article.sources


def test_outlets_are_told_apart_by_name_and_model_and_sorted():
    articles = [
        facts("R", outlet=None),
        facts("R", outlet="Zèbre"),
        facts("E", outlet="Abeille", version="fr-b"),
        facts("Q", outlet="Abeille", version="fr-a"),
        facts("RR", outlet="Abeille", version="fr-a"),
    ]
    found = list(profile_outlets(articles, {"fr-a": KNOWN}.get))
    assert [(one.outlet, one.model_version, one.articles) for one in found] == [
        ("Abeille", "fr-a", 2), ("Abeille", "fr-b", 1), ("Zèbre", "fr-000000000000", 1), (None, "fr-000000000000", 1),
    ]  # fmt: skip
    assert [one.error for one in found] == [KNOWN.data, None, None, None]


def test_more_segments_and_articles_narrow_an_interval_down_to_that_of_the_outlet():
    widths = []
    for articles in (1, 4, 100, 10_000):
        many = [facts("RRRRRRRQQQEEBBB")] * articles
        (outlet,) = profile_outlets(many, lambda _: KNOWN)
        figure = outlet.figures["labels.editorial_framing"]
        widths.append(figure.high - figure.low)
    assert all(wide > narrow for wide, narrow in pairwise(widths))
    share = outlet.figures["labels.editorial_framing"].value
    assert widths[-1] == pytest.approx(4 * math.sqrt(share * (1 - share) * 0.01), rel=0.1)


# --- measuring the error ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured():
    return measure_error(gate_pages(1), data="e" * 64)


def test_the_error_measured_on_some_outlets_corrects_others(measured):
    tests = gate_pages(2, prefix="n")
    gold = list(profile_outlets([page.gold for page in tests], lambda _: None))
    said = list(profile_outlets([page.said for page in tests], lambda _: measured))
    for name in ("labels.editorial_framing", "sourced"):
        truth = [one.figures[name].observed for one in gold]
        before = [one.figures[name].observed - true for one, true in zip(said, truth, strict=True)]
        after = [one.figures[name].value - true for one, true in zip(said, truth, strict=True)]
        assert abs(sum(after)) < abs(sum(before)) / 2
        covered = [f.low <= true <= f.high for f, true in zip((one.figures[name] for one in said), truth, strict=True)]
        assert sum(covered) >= 18  # of 20


def test_intervals_cover_articles_of_any_size(measured):
    for size in (15, 200):
        tests = gate_pages(3, prefix="n", pages=5, sizes=(size,))
        hits = total = 0
        for page in tests:
            truth = profile_facts(page.gold, None)
            figures = profile_facts(page.said, measured).figures
            for name in ("labels.reported_claim", "labels.editorial_framing", "characters.attributed_quote"):
                if truth.figures[name].observed is not None and figures[name].value is not None:
                    hits += figures[name].low - 1e-4 <= truth.figures[name].observed <= figures[name].high + 1e-4
                    total += 1
        assert hits / total > 0.9


def test_the_order_of_gate_pages_changes_nothing(measured):
    pages = gate_pages(1)
    random.Random(0).shuffle(pages)
    assert measure_error(pages, data="e" * 64) == measured


def test_what_people_did_not_judge_is_not_known(measured):
    assert set(measured.shares) == {"labels", "characters", "sourced", "source_types", "direct"}
    few = measure_error(gate_pages(1, outlets=4), data="")
    assert (few.shares, few.distinct, few.top) == ({}, None, None)


def test_a_model_without_error_needs_no_correction():
    perfect = [
        type(page)(outlet=page.outlet, gold=page.gold, said=page.gold, truth=page.truth) for page in gate_pages(5)
    ]
    error = measure_error(perfect, data="")
    assert error.distinct.factor == 1.0
    profile = profile_facts(perfect[0].said, error)
    for figure in profile.figures.values():
        assert figure.value == figure.observed


def test_the_error_is_read_back_and_damage_is_named(measured):
    data = json.loads(json.dumps(measured.to_dict()))
    assert ErrorModel.from_dict(data) == measured
    for change in (
        {"format": 9},
        {"shares": {"labels": {}}},
        {"shares": {"poems": data["shares"]["labels"]}},
        {"top": 3},
    ):
        with pytest.raises(ModelError, match=r"^here: "):
            ErrorModel.from_dict({**data, **change}, where="here")
    data["shares"]["labels"]["counts"][0].append(1)
    with pytest.raises(ModelError, match="square"):
        ErrorModel.from_dict(data)
