"""When two names are one source."""

from __future__ import annotations

import random

import pytest
from profile_pages import scored

from annotator.profile.facts import article_facts
from annotator.profile.sources import Sources, article_sources, is_pronoun, source_key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("M. Castain", "Castain"),
        ("Mme Élodie Roux", "elodie  roux"),
        ("l’Élysée", "L'Elysee"),
        ("le préfet", "Le préfet"),
        ("« Le Phare »", "Le Phare"),
        ("d'Ormeval", "Ormeval"),
        ("le général Roux", "Roux"),
        ("Jean‑Marc Roux", "Jean-Marc Roux"),
    ],
)
def test_case_accents_marks_determiners_and_titles_do_not_count(one, other):
    assert source_key(one) == source_key(other) != ""


@pytest.mark.parametrize(("one", "other"), [("le préfet", "la préfète"), ("Roux", "Le Roux Anne"), ("J. Roux", "Roux")])
def test_other_words_do(one, other):
    assert source_key(one) != source_key(other)


def test_pronouns():
    for word in ("il", "Elle", "ce dernier", "Celle-ci", "l'intéressé", "elle-même", "on"):
        assert is_pronoun(word), word
    for word in ("le dernier ministre", "Ilan", "le maire", ""):
        assert not is_pronoun(word), word


def speakers(*names, article_id="a1", outlet="Le Phare"):
    lines = []
    for name in names:
        words, kind = name if isinstance(name, tuple) else (name, "person")
        lines.append(("R", f"selon {words}", {"source": words, "kind": kind}))
    return article_facts(scored(*lines, article_id=article_id, outlet=outlet))


def found(sources):
    return {(one.name, one.n) for one in sources.top(99)}


def test_a_surname_joins_the_full_name_of_the_article():
    assert found(article_sources(speakers("Castain", "Hervé Castain", "M. Castain"))) == {("Hervé Castain", 3)}
    assert found(article_sources(speakers("Jeanne Le Gall", "Le Gall", "Gall"))) == {("Jeanne Le Gall", 3)}


def test_a_surname_of_two_persons_stays_by_itself():
    names = {("Anne Roux", 1), ("Paul Roux", 1), ("Roux", 1)}
    assert found(article_sources(speakers("Anne Roux", "Paul Roux", "Roux"))) == names


def test_only_persons_are_joined_by_their_last_word():
    both = article_sources(speakers(("Radio Ambres", "media"), ("Ambres", "organisation"), "Paul Ambres"))
    assert found(both) == {("Radio Ambres", 1), ("Ambres", 1), ("Paul Ambres", 1)}


def together(*articles):
    total = Sources()
    for facts in articles:
        total.add(article_sources(facts))
    return total


def test_names_are_joined_across_articles_common_nouns_and_the_unnamed_are_not():
    articles = [
        speakers("Hervé Castain", ("le rapport", "document"), ("Une source", "anonymous"), article_id="a1"),
        speakers("Castain", ("Le rapport", "document"), ("Une source", "anonymous"), article_id="a2"),
        speakers(("le Kremlin", "organisation"), ("Kremlin", "organisation"), "il", article_id="a3"),
    ]
    shared = [("Hervé Castain", 2), ("Kremlin", 2)]
    expected = [*shared, ("Le rapport", 1), ("Une source", 1), ("Une source", 1), ("le rapport", 1)]
    for _ in range(5):
        total = together(*articles)
        assert sorted((one.name, one.n) for one in total.top(99)) == expected
        assert total.pronouns == 1
        random.Random(1).shuffle(articles)


def test_the_kind_given_most_often_is_the_kind():
    sources = article_sources(speakers(("Kiev", "organisation"), ("Kiev", "person"), ("Kiev", "organisation")))
    assert [(one.source_type, one.n) for one in sources.top()] == [("organisation", 3)]


def test_the_most_quoted_come_first_and_ten_are_listed():
    names = [f"Anne R{letter}" for letter in "abcdefghijkl"]
    top = article_sources(speakers(*names, "Anne Rl", "Anne Rk", "Anne Rl")).top()
    assert [one.name for one in top[:3]] == ["Anne Rl", "Anne Rk", "Anne Ra"]
    assert len(top) == 10
