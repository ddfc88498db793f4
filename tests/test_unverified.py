"""What holds a claim at a distance, rule by rule, on sentences of our own."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.conditional import find_conditionals
from annotator.records import Label
from annotator.unverified import distances, is_unverified

CLAIM, QUOTE = Label.REPORTED_CLAIM, Label.ATTRIBUTED_QUOTE


def judge(text):
    return is_unverified(text, QUOTE if "«" in text else CLAIM)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "Il viendrait et finirait, elles prendraient, tu mettrais.",
            ["viendrait", "finirait", "prendraient", "mettrais"],
        ),
        (
            "Il connaîtrait, courrait, verrait, mourrait, aurait.",
            ["connaîtrait", "courrait", "verrait", "mourrait", "aurait"],
        ),
        ("Il entrait, montrait, espérait, déclarait, tirait, assurait.", []),
        ("Il ouvrait, encadrait, désirait, courait, serrait, restaurait.", []),
        ("Un portrait, un retrait, l'attrait du marais, des engrais.", []),
    ],
)
def test_conditionals_are_told_from_imperfects_and_nouns(text, found):
    assert [verb.span.of(text) for verb in find_conditionals(text)] == found


@pytest.mark.parametrize(
    ("text", "past"),
    [
        ("Elle aurait fui.", True),
        ("Elle aurait, d'après lui, tout vendu.", True),
        ("Ils se seraient vus.", True),
        ("Ils seraient morts.", True),
        ("Elle aurait 30 ans.", False),
        ("Le vote aurait lieu lundi.", False),
        ("Les prix seraient fixés.", False),
    ],
)
def test_past_conditionals_are_known_by_their_participle(text, past):
    (verb,) = find_conditionals(text)
    assert verb.past is past


@pytest.mark.parametrize(
    "text",
    [
        "Le caissier aurait vidé le coffre.",
        "Le caissier, selon ses voisins, aurait vidé le coffre.",
        "Le coffre contiendrait des lingots.",
        "La police a indiqué que le caissier aurait fui.",
        "Si la mairie nie, son caissier aurait tout avoué.",
        "« Je n'y étais pas », aurait-il juré.",
        "« Paraît-il que j'aurais fui », ironise-t-il. Il paraît-il. « J'aurais, paraît-il, fui. »",
        "Le voleur présumé court toujours.",
        "La prétendue duchesse vendait des poules.",
        "Le trésor se trouve, prétendument, sous la halle.",
        "Il est soupçonné par le parquet d'avoir falsifié les plans.",
        "Accusée d'avoir triché, elle rend sa médaille.",
        "On l'accuse de tricherie.",
        "Les accusations de tricherie le poursuivent.",
        "L'agence prétend que tout est en ordre.",
        "La vidéo prétend montrer un ovni.",
        "Un homme présenté par la chaîne comme un témoin a disparu.",
        "Le bilan n'a pas pu être vérifié.",
        "L'agence n’a pas été en mesure de vérifier ce chiffre.",
        "D'après des informations non confirmées, le pont est fermé.",
        "Selon une vieille rumeur, le lac est sans fond.",
    ],
)
def test_what_holds_a_claim_at_a_distance(text):
    assert judge(text) is True


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Le pont devrait rouvrir lundi.", "wish"),
        ("Le pont pourrait avoir bougé.", "wish"),
        ("Il aurait fallu un filet.", "wish"),
        ("Elle voudrait un second avis.", "wish"),
        ("Rien ne saurait l'arrêter.", "wish"),
        ("Je signerais demain.", "speaker"),
        ("Que ferait-il là-bas ?", "question"),
        ("On dirait une île.", "question"),
        ("Si la digue lâchait, le bourg serait noyé.", "supposition"),
        ("Le bourg serait noyé s'il pleuvait encore.", "supposition"),
        ("Sans digue, le bourg serait noyé.", "supposition"),
        ("Aurait-on su, le bourg vivrait.", "supposition"),
        ("Fermer la halle ruinerait le bourg.", "supposition"),
        ("Quiconque aurait parlé serait mort.", "supposition"),
        ("Le maire a promis que la halle resterait ouverte.", "future in the past"),
        ("Elle ne savait pas où ils dormiraient.", "future in the past"),
        ("Deux ans plus tard, il gagnerait la coupe.", "future in the past"),
        ("Le décret interdirait la chasse.", "provision"),
        ("Selon le projet de loi, les maires nommeraient les juges.", "provision"),
        ("La grève toucherait tout le pays.", "effect"),
        ("Cela finirait mal.", "effect"),
        ("Une prime attend ceux qui resteraient.", "whoever"),
        ("« Mon frère vivrait là », dit-il.", "quoted"),
    ],
)
def test_what_a_conditional_says_instead_is_told(text, reason):
    reasons = [why for _, why in distances(text, QUOTE if "«" in text else CLAIM)]
    assert reasons
    assert reasons[0] == reason
    assert judge(text) is False


@pytest.mark.parametrize(
    "text",
    [
        "La mairie accuse la région d'inertie.",
        "Accusé par la région d'inertie, le maire répond.",
        "Le maire, accusé d'inertie par la région, répond.",
        "L'accusé de réception est égaré.",
        "Les accusations de Kerlouan sont infondées, dit le maire.",
        "Nul ne doit craindre d'être accusé de vol.",
        "Il affirme avoir payé.",
        "L'incendie semble accidentel.",
        "La région n'a pas voulu confirmer.",
        "Tout prévenu est présumé innocent.",
        "Le chantier a supposé deux ans de travail.",
        "Le marché est supposé fermer à midi.",
        "Elle prétend au trône.",
        "Elle s'est présentée comme prévu.",
    ],
)
def test_what_only_looks_like_it(text):
    assert judge(text) is False


def test_nothing_is_asked_of_framing_and_furniture():
    for label in (Label.EDITORIAL_FRAMING, Label.BOILERPLATE):
        assert is_unverified("Il aurait fui.", label) is None


def test_what_stands_in_quotation_marks_does_not_bear_on_what_stands_outside():
    assert judge("« Si je savais ! », aurait-il soupiré.") is True
    assert judge("S'ils avaient « un as dans la manche », les joueurs gagneraient.") is False


def test_a_quotation_without_marks_is_quoted_throughout():
    assert is_unverified("Mon frère vivrait là.", QUOTE) is False
    assert is_unverified("Mon frère vivrait là.", CLAIM) is True


def test_typography_changes_nothing():
    assert judge("L’élu n’a pas pu être vérifié.") is judge("L'élu n'a pas pu être vérifié.") is True
    assert judge("Il aurait\u00a0fui.") is True
    assert judge("LE MAIRE AURAIT FUI") is True


@given(
    st.text(
        st.sampled_from("aurait serait si que présumé accusé de n'a pu « » \" . ? , é\n’") | st.characters(),
        max_size=200,
    )
)
def test_any_text_is_judged_and_every_finding_lies_inside_it(text):
    for label in (CLAIM, QUOTE):
        found = distances(text, label)
        assert all(0 <= span.start < span.end <= len(text) for span, _ in found)
        assert is_unverified(text, label) is any(reason is None for _, reason in found)


def test_the_frozen_table_is_as_it_was_and_the_rule_keeps_its_bar(repository):
    rows = [json.loads(line) for line in (repository / "tests/data/unverified.jsonl").read_text("utf-8").splitlines()]
    frozen = [row for row in rows if row["id"] % 3]
    assert (len(rows), len(frozen), sum(row["unverified"] for row in frozen)) == (294, 196, 96)
    judged = [(row["unverified"], judge(row["text"])) for row in frozen]
    right = sum(truth and said for truth, said in judged)
    wrong = sum(truth is not said for truth, said in judged)
    assert 2 * right / (2 * right + wrong) >= 0.85
