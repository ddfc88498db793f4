"""Antecedents, carried sources, words of anonymity: rule by rule, on pages of our own."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.agreement import of_pronoun, of_source
from annotator.anonymity import anonymity_words, states_reason
from annotator.dataset import read_pages
from annotator.records import Attribution, Label, SourceType, Span
from annotator.references import complete
from annotator.segmentation import breaks, segment

CODES = dict(zip("rqfb", Label, strict=True))
KINDS = {kind.value[0]: kind for kind in SourceType}


class Page:
    """A page from lines: a letter for the label, TAB, text; [source] (kind after a colon), {cue}.

    A line without a letter begins a paragraph.
    """

    def __init__(self, *lines):
        self.text, self.spans, self.labels, self.given = "", [], [], []
        gap = ""
        for line in lines:
            if not line:
                gap = "\n\n"
                continue
            letter, words = line.split(" ", 1)
            self.text += gap
            start = len(self.text)
            marks, plain = {}, ""
            for part in re.split(r"(\[[^\]]*\]|\{[^}]*\})", words):
                if part[:1] in ("[", "{"):
                    inner = part[1:-1]
                    kind = None
                    if part[0] == "[" and inner[-2:-1] == ":":
                        inner, kind = inner[:-2], KINDS[inner[-1]]
                    marks[part[0]] = (Span(start + len(plain), start + len(plain) + len(inner)), kind)
                    plain += inner
                else:
                    plain += part
            self.text += plain
            self.spans.append(Span(start, len(self.text)))
            self.labels.append(CODES[letter])
            source, kind = marks.get("[", (None, None))
            cue = marks.get("{", (None, None))[0]
            self.given.append(Attribution(source=source, cue=cue, source_type=kind) if source or cue else None)
            gap = " "

    def complete(self):
        return complete(self.text, self.spans, breaks(self.text, self.spans), self.labels, self.given)

    def carried(self):
        return [None if said is None else said.source_segment for said in self.complete()]

    def antecedents(self):
        found = (None if said is None else said.antecedent for said in self.complete())
        return [None if span is None else span.of(self.text) for span in found]


# --- agreement ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sentence", "source", "shown"),
    [
        ("Mme Karvel a souri.", "Karvel", ("f", False)),
        ("Le chef du port, Sasha Brume, a souri.", "Sasha Brume", ("m", False)),
        ("La cheffe du port, Sasha Brume, a souri.", "Sasha Brume", ("f", False)),
        ("Sasha Brume, présidente du port, a souri.", "Sasha Brume", ("f", False)),
        ("Nathalie Brume a souri.", "Nathalie Brume", ("f", False)),
        ("Sasha Brume a souri.", "Sasha Brume", (None, False)),
        ("La capitainerie a souri.", "La capitainerie", ("f", False)),
        ("L’agence a souri.", "L’agence", ("f", False)),
        ("Son équipe a souri.", "Son équipe", ("f", False)),
        ("L'autre a souri.", "L'autre", (None, False)),
        ("Deux dockers ont souri.", "Deux dockers", (None, True)),
    ],
)
def test_gender_and_number_are_looked_up(sentence, source, shown):
    at = sentence.index(source)
    found = of_source(sentence, Span(at, at + len(source)), Span(0, len(sentence)), person=True)
    assert (found.gender, found.plural) == shown


def test_who_can_be_nobodys_antecedent_shows_nothing():
    words = "Kerlouan a protesté, il a protesté, source sûre"
    for source, person in (("Kerlouan", False), ("il", True), ("source sûre", False)):
        at = words.index(source)
        assert of_source(words, Span(at, at + len(source)), Span(0, len(words)), person=person) is None
    assert of_pronoun("Cette dernière").gender == "f"
    assert of_pronoun("le maire") is None


# --- antecedents -------------------------------------------------------------------------------------------------


def test_a_pronoun_takes_the_nearest_source_that_agrees_and_its_kind():
    page = Page(
        "q « Oui », {dit} la maire, [Ada Brume:p].",
        "r [Le préfet:a] {dément}.",
        "r [Elle] {ajoute} que tout va bien.",
        "r [Il] {nie} encore.",
        "r Selon [elle], la nuit fut calme.",
    )
    assert page.antecedents() == [None, None, "Ada Brume", "Le préfet", "Ada Brume"]
    kinds = [None if said is None else said.source_type for said in page.complete()]
    assert kinds == ["person", "anonymous", "person", "anonymous", "person"]


def test_a_chain_of_pronouns_keeps_its_antecedent_within_reach():
    page = Page(
        "q « Oui », {dit} la maire, [Ada Brume:p].",
        "r [Elle] {ajoute} que tout va bien.",
        "r Il pleuvait.",
        "r Il ventait.",
        "r [Elle] {répète} que tout va bien.",
        "r Il pleuvait.",
        "r Il ventait.",
        "r Il neigeait.",
        "r [Elle] {insiste}.",
    )
    assert page.antecedents() == [None, "Ada Brume", None, None, "Ada Brume", None, None, None, None]


@pytest.mark.parametrize(
    "between",
    [
        "r La directrice de l'école a quitté la salle.",
        "r La mairie a fermé ses portes.",
        "r Chloé Brisant a quitté la salle.",
        "q « Je reste », {lance}-t-[elle] aussitôt, Chloé Brisant dans les bras.",
    ],
)
def test_somebody_else_who_agrees_in_between_leaves_it_open(between):
    page = Page("q « Oui », {dit} la maire, [Ada Brume:p].", between, "r [Elle] {ajoute} que tout va bien.")
    if "Je reste" in between:
        assert page.antecedents()[2] == "Ada Brume"  # she is named behind the pronoun, and passes it on
    else:
        assert page.antecedents()[2] is None


def test_somebody_named_before_it_in_its_own_sentence_leaves_it_open():
    page = Page("q « Oui », {dit} la maire, [Ada Brume:p].", "r Quand Chloé Brisant est sortie, [elle] {a crié}.")
    assert page.antecedents() == [None, None]


def test_another_gender_in_between_does_not():
    page = Page("q « Oui », {dit} la maire, [Ada Brume:p].", "r Le préfet est parti.", "r [Elle] {ajoute} ceci.")
    assert page.antecedents()[2] == "Ada Brume"


def test_the_last_named_is_the_segment_before():
    page = Page("r [Le préfet:a] {dément}.", "r Il pleuvait.", "r [Celui-ci] {ajoute} qu'il reste.")
    assert page.antecedents() == [None, None, None]
    page = Page("r [Le préfet:a] {dément}.", "r [Ce dernier] {ajoute} qu'il reste.")
    assert page.antecedents() == [None, "Le préfet"]


def test_a_gender_that_does_not_show_is_enough_next_to_it_only():
    near = Page("q « Oui », {dit} [Sasha Brume:p].", "r [Elle] {ajoute} ceci.")
    far = Page("q « Oui », {dit} [Sasha Brume:p].", "r Il pleut.", "r Il vente.", "r [Elle] {ajoute} ceci.")
    assert near.antecedents()[1] == "Sasha Brume"
    assert far.antecedents()[3] is None


# --- carried sources ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "carried"),
    [
        (["q « On attend.", "q Rien ne vient », {dit} [Ada Brume:p]."], [1, None]),  # a source behind
        (["q « On attend », {dit} [Ada Brume:p].", "q « Rien ne vient. »"], [None, 0]),  # the next quotation
        (["q « On attend, {dit} [Ada Brume:p].", "q Rien ne vient.", "q Rien. »"], [None, 0, 0]),  # marks far apart
        (['q "On attend.', 'q Rien ne vient", {dit} [Ada Brume:p].'], [1, None]),  # straight marks
        (["q [Il] {poursuit} :", "", "q « Rien ne vient. »"], [None, 0]),  # a lead-in
        (["q « On attend », {dit} [Ada Brume:p].", "q Et de {conclure} : « Tant pis. »"], [None, 0]),  # a cue alone
        (["r [Le rapport:d] {conclut} à une panne.", "q « Un câble a cédé », y {lit-on}."], [None, 0]),
        (["q « On attend », {dit} [Ada Brume:p].", "", "q « Rien ne vient. »"], [None, 0]),  # a paragraph of its own
        (["q « On attend », {dit} [Ada Brume:p].", "", "q « La mer monte »"], [None, None]),  # a heading
        (["q « On attend », {dit} [Ada Brume:p].", "r La mer monte.", "q « Rien ne vient. »"], [None, None, None]),
        (["q « On attend. »", "q « Rien ne vient », {dit} [Ada Brume:p]."], [1, None]),  # the one after, at its side
        (["q « On attend », {dit} [Ada Brume:p].", "b Lire aussi : la digue", "q « Rien ne vient. »"], [None, None, 0]),
        (["q « On attend », {dit} [Ada Brume:p].", "q — Et vous ?"], [None, None]),  # somebody else speaks
        (["q « On attend », {dit} [Ada Brume:p].", "f La honte.", "q Une « honte »."], [None, None, None]),
    ],
)
def test_quotations_take_their_source_from_their_neighbours(lines, carried):
    assert Page(*lines).carried() == carried


def test_answers_of_an_interview_take_the_last_name_before_an_answer():
    page = Page(
        "f Vous partez ?",
        "q [Ada Brume:p] : Non.",
        "q Je reste.",
        "",
        "f Pourquoi ?",
        "q Le phare, d'abord.",
        "q Un gardien m'{a dit} : « Restez », [un gardien:a].",
        "q Je l'ai écouté.",
    )
    assert page.carried() == [None, None, 1, None, 1, None, 1]
    assert page.complete()[2].source_type == "person"


def test_a_letter_follows_its_lead_in():
    page = Page("q [Ada Brume:p] nous {écrit} :", "", "q La mer monte.", "q Nul n'en parle.", "", "q Je signe.")
    assert page.carried() == [None, 0, 0, 0]


def test_a_carried_source_takes_the_kind_of_whom_its_pronoun_stands_for():
    page = Page("q « Non », {dit} [un docker:a].", "q « On reste », {ajoute}-t-[il:p].", "q « On tient. »")
    assert [said.source_type for said in page.complete()] == ["anonymous", "anonymous", "anonymous"]


# --- anonymity ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sentence", "words", "reason"),
    [
        ("« On a peur », dit un docker sous couvert d’anonymat.", "sous couvert d’anonymat", False),
        (
            "Un cadre, qui a requis l'anonymat, par crainte de représailles, parle.",
            "qui a requis l'anonymat, par crainte de représailles",
            True,
        ),
        (
            "Elle parle sous condition d'anonymat car elle n'y est pas autorisée, dit-elle.",
            "sous condition d'anonymat car elle n'y est pas autorisée",
            True,
        ),
        (
            "De peur d'être renvoyé, il a souhaité rester anonyme.",
            "De peur d'être renvoyé, il a souhaité rester anonyme",
            True,
        ),
        ("Une source qui préfère ne pas être citée confirme.", "qui préfère ne pas être citée", False),
        (
            "Un agent, qui n'est pas autorisé à s'exprimer publiquement, confirme.",
            "qui n'est pas autorisé à s'exprimer publiquement",
            True,
        ),
    ],
)
def test_words_of_anonymity_reach_to_their_reason(sentence, words, reason):
    span = anonymity_words(f"Avant. {sentence}", Span(7, 7 + len(sentence)))
    assert span.of(f"Avant. {sentence}") == words
    assert states_reason(words) is reason


@pytest.mark.parametrize(
    "sentence", ["L'anonymat du don est garanti.", "Une lettre anonyme est arrivée.", "Il a été autorisé à parler."]
)
def test_other_words_of_the_same_family_are_left_alone(sentence):
    assert anonymity_words(sentence, Span(0, len(sentence))) is None


def test_words_of_anonymity_belong_to_an_attribution():
    page = Page("q « Non », {dit} [un docker:a] sous couvert d'anonymat.", "r Il a requis l'anonymat.")
    first, second = page.complete()
    assert first.anonymity_reason.of(page.text) == "sous couvert d'anonymat"
    assert second is None


# --- any page ----------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    ["il", "elle", "ils", "Ada Brume", "le maire", "La mairie", "dit", "« ", " »", '"', "— ", " : ", ". ", "? ", "\n\n"]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(WORDS | st.text(max_size=4), max_size=60).map("".join), st.randoms(use_true_random=False))
def test_what_is_inferred_holds_on_any_page(text, random):
    spans = segment(text)
    labels = [random.choice(list(Label)) for _ in spans]
    given_ = []
    for span, label in zip(spans, labels, strict=True):
        words = [Span(span.start + m.start(), span.start + m.end()) for m in re.finditer(r"\S+", span.of(text))]
        speaks = label in (Label.REPORTED_CLAIM, Label.ATTRIBUTED_QUOTE) and random.random() < 0.7
        source, cue = (random.choice([None, *words]) for _ in range(2))
        kind = random.choice([None, *SourceType]) if source else None
        given_.append(Attribution(source=source, cue=cue, source_type=kind) if speaks and (source or cue) else None)
    found = complete(text, spans, breaks(text, spans), labels, given_)
    assert found == complete(text, spans, breaks(text, spans), labels, given_)
    for index, (span, label, before, said) in enumerate(zip(spans, labels, given_, found, strict=True)):
        if said is None:
            assert before is None
            continue
        assert label in (Label.REPORTED_CLAIM, Label.ATTRIBUTED_QUOTE)
        assert before is None or (said.source, said.cue) == (before.source, before.cue)
        if said.antecedent is not None:
            assert said.antecedent.end <= said.source.start
        if said.source_segment is not None:
            assert said.source is None
            assert 0 <= said.source_segment < len(spans)
            assert said.source_segment != index
            assert found[said.source_segment].source is not None
        if said.anonymity_reason is not None:
            assert span.start <= said.anonymity_reason.start < said.anonymity_reason.end <= span.end


def test_the_true_links_are_links_of_the_labelled_pages(repository):
    pages = {page.article.article_id: page for page in read_pages(repository / "labels")}
    rows = [json.loads(line) for line in (repository / "tests/data/carried.jsonl").read_text("utf-8").splitlines()]
    assert len(rows) == 541
    for row in rows:
        segments = pages[row["page"]].segments
        assert all(segments[index].attribution.source is not None for index in row["right"])
