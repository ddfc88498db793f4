"""annotator/segmentation.py: lines, sentences, quotations, wrapped text, and any string whatever."""

from __future__ import annotations

import importlib.util
import sys
import textwrap
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator import segmentation
from annotator.dataset import read_pages
from annotator.records import Span, check_spans
from annotator.segmentation import Break, breaks, is_hard_wrapped, segment

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def measuring():
    spec = importlib.util.spec_from_file_location("measure_segmentation", ROOT / "scripts" / "measure_segmentation.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def cut(text):
    return [span.of(text) for span in segment(text)]


def whole(parts):
    """The parts on one line come back one by one."""
    return cut(" ".join(parts)) == parts


# Any string

CHARACTERS = (
    "«»“”„\"()[].!?…,;:—- \n\r\t\v\f\x1c\x85\u00a0\u202f\u2028\u2029\u200b\ufeff\ud83d\udc00aàAÉß漢1'’‘•|/*_。؟😀"
)
WORDS = "\r\n|\n\n| M. | etc. |J.-C.| Le |Il dit|2026|http://a.b/C?D|a@b.fr|. | :|Enfin. | 1. |B\u00a0."
PIECES = st.sampled_from([*CHARACTERS, *WORDS.split("|"), "le vent tourne et la barque rentre avant la nuit "])
ANYTHING = st.one_of(
    st.text(),
    st.text(st.characters(exclude_categories=())),
    st.lists(PIECES, max_size=150).map("".join),
)


@given(ANYTHING)
def test_segments_cover_all_but_white_space(text):
    spans = segment(text)
    check_spans(text, spans, where="page")
    assert all(span.of(text) == span.of(text).strip() for span in spans)
    assert bool(spans) == bool(text.strip())
    assert segment(text) == spans


@given(ANYTHING)
def test_one_break_for_every_segment(text):
    spans = segment(text)
    found = breaks(text, spans)
    assert len(found) == len(spans)
    assert found[:1] == [Break.PARAGRAPH][: len(spans)]


@given(st.lists(PIECES, max_size=30).map("".join), st.integers(0, 4096))
def test_a_line_longer_than_a_window_is_covered(text, shift):
    text = "x" * shift + " ".join([text.replace("\n", " ")] * 300)
    check_spans(text, segment(text), where="page")


@given(st.lists(PIECES, max_size=60).map(lambda parts: " ".join("".join(parts).split())))
def test_every_kind_of_space_is_a_space(text):
    assert segment(text.replace(" ", "\u202f")) == segment(text.replace(" ", "\u00a0")) == segment(text)


@pytest.mark.parametrize("text", ["", " ", "\n\r\n \u2028\t\u3000\x1f"])
def test_nothing_in_a_blank_page(text):
    assert segment(text) == []
    assert breaks(text, []) == []
    assert not is_hard_wrapped(text)


# Lines

PAGE = "Le bac reprend la mer\nPar Ondine Karvel\n\nLe bac a repris lundi. Il avait coulé à quai.\n\n\nLire aussi"
PARTS = ["Le bac reprend la mer", "Par Ondine Karvel", "Le bac a repris lundi.", "Il avait coulé à quai.", "Lire aussi"]


@pytest.mark.parametrize("eol", ["\n", "\r\n", "\r", "\f", "\v", "\x85", "\u2028"])
def test_every_line_break_ends_a_segment(eol):
    text = PAGE.replace("\n", eol)
    assert cut(text) == PARTS
    assert breaks(text, segment(text)) == [
        Break.PARAGRAPH,
        Break.LINE,
        Break.PARAGRAPH,
        Break.SENTENCE,
        Break.PARAGRAPH,
    ]


def test_breaks_of_a_foreign_segmentation():
    text = "Un.Deux\nTrois \n \t\n Quatre\u2029Cinq \r\n Six"
    spans = [Span(text.index(word), text.index(word) + len(word)) for word in ("Un.", "Deux", "Trois", "Quatre")]
    spans += [Span(text.index("Cinq"), text.index("Cinq") + 4), Span(text.index("Six"), len(text))]
    assert breaks(text, spans) == ["paragraph", "sentence", "line", "paragraph", "paragraph", "line"]


def test_a_piece_without_a_word_is_no_segment_of_its_own():
    assert cut("Il pleut.\n***\nIl vente.\n— \nIl gèle. 😀😀") == ["Il pleut.\n***", "Il vente.\n—", "Il gèle. 😀😀"]
    assert cut("***\n« »\n") == ["***\n« »"]
    assert cut("★\nAccueil") == ["★\nAccueil"]


def test_an_opening_mark_alone_on_its_line_goes_with_what_it_opens():
    assert cut("Un texte intitulé\n«\nLe quai désert\n»\nparu lundi") == [
        "Un texte intitulé",
        "«\nLe quai désert\n»",
        "paru lundi",
    ]


# Sentences


@pytest.mark.parametrize(
    "sentence",
    [
        "Les avocats de M. Fargal ont plaidé devant Mme. Orsini et le Dr. Belloc.",
        "M. Le Hénaff a démissionné avec MM. Tavel et Roz, avant Me. Sorbier.",
        "J. D. Marlow, J.-P. Brunel et L. O.-B. Sand ont signé.",
        "Y. Le Bihan préside la séance.",
        "La photo de S. Kerguel date du 18 nov. 2025 et non du 3 oct. 2024.",
        "L'art. 12 renvoie à l'article L. 2141-1, vol. II, p. 45 et chap. 3.",
        "Né en 52 av. J.-C. selon Strabel, il aurait régné sur 3.000 arpents, soit 1.5 lieue.",
        "Écrivez à a.b@quai-nord.fr ou voyez https://quai-nord.fr/Page.Une?Cas=Deux pour la suite.",
        "1. Qui part ?",
        "Classement : 1. Oosterlinck (Bel) ; 2. Ruizal (Esp) ; 3. Perrod (Fra).",
        "Figure 2. Le port vu du phare",
        "Accueil • Régions • Le port",
        "P.-S. : la suite demain",
        "Qui sommes-nous ? | Mentions légales | Contact",
        "MARINFOS.COM | Toute la mer",
        "Le maire (il était absent. Il l'a dit) a voté.",
    ],
)
def test_not_the_end_of_a_sentence(sentence):
    assert cut(sentence) == [sentence]


@pytest.mark.parametrize(
    "parts",
    [
        ["Il manque de vitamine C.", "Les médecins insistent."],
        ["Le message a été publié sur X.", "Il a disparu."],
        ["Ils ont compté 6 000 heures de vol.", "Un voisin confirme."],
        ["On les dit un peu fous...", "Un poteau ne remercie jamais !", "Ah ?", "Non…"],
        ["Rendez-vous le 15.", "La suite au 3 de la rue."],
        ["— Vous partez ?", "— Demain, dit-elle."],
        ["(La transcription est abrégée.", "Seul l'original fait foi.)"],
        ["(Il rit.)", "Non, tout va bien."],
        ["Le vote a été serré (12 contre 11).", "La séance est levée."],
    ],
)
def test_the_end_of_a_sentence(parts):
    assert whole(parts)


def test_a_sentence_glued_to_the_next_is_cut():
    assert cut("Voilà la fin.Le début était meilleur.") == ["Voilà la fin.", "Le début était meilleur."]


# Quotations

MARKS = ["«{}»", "« {} »", "«\u00a0{}\u00a0»", "«\u202f{}\u202f»", "“{}”", "“ {} ”", '"{}"', '" {} "', "‹ {} ›"]


@pytest.mark.parametrize("marks", MARKS)
def test_a_quotation_of_several_sentences_gives_several_segments(marks):
    said = marks.format("Le quai est vide. Qui l'aurait cru ? Personne.")
    first, last = marks.split("{}")
    assert whole([f"Il répond : {first}Le quai est vide.", "Qui l'aurait cru ?", f"Personne.{last}", "Puis il sort."])
    assert cut(said)[-1] == f"Personne.{last}"


@pytest.mark.parametrize("marks", MARKS)
def test_a_reporting_clause_stays_with_its_quotation(marks):
    for said in ("Où est le bac ?", "Quelle honte !", "Le bac…"):
        assert whole([marks.format(said) + " demande-t-il.", "Nul ne répond."])
        assert whole(
            [marks.format(said) + ", lance le maire.", marks.format("Je pars.") + " Il part.".rstrip()[:0]][:1]
        )


@pytest.mark.parametrize("marks", MARKS)
def test_an_opening_mark_goes_with_the_second_sentence(marks):
    assert whole(["Le maire se tait.", marks.format("Je pars demain.")])


def test_straight_marks_between_two_spaces_close_what_was_opened():
    assert cut('Il dit : " Je pars. " Elle reste. " Moi aussi. "') == [
        'Il dit : " Je pars. "',
        "Elle reste.",
        '" Moi aussi. "',
    ]


def test_a_quotation_that_is_never_closed_is_cut_as_well():
    assert whole(["Elle raconte : « Il faisait nuit.", "Le phare était éteint.", "On a crié."])


# Hard-wrapped text

PARAGRAPHS = [
    (
        "Le bac de l'estuaire a repris lundi ses rotations entre les deux rives, après onze semaines d'arrêt "
        "dues à une avarie de gouvernail. La compagnie promet un départ toutes les quarante minutes, mais les habitués "
        "du premier voyage, venus avec leurs vélos et leurs paniers, n'y croient guère avant d'avoir vu passer l'hiver."
    ),
    (
        "« On nous avait dit quinze jours. On a compté, et on a fini par prendre le pont », soupire une maraîchère de "
        "la rive nord, qui a perdu un tiers de ses clients. La mairie étudie une indemnité dont le montant est inconnu."
    ),
    "Prochain conseil jeudi, à dix-huit heures, dans la salle des fêtes.",
]


def wrap(width, *, between="\n\n", eol="\n"):
    text = between.join(
        textwrap.fill(part, width, break_long_words=False, break_on_hyphens=False) for part in PARAGRAPHS
    )
    return f"Le bac est revenu\nPar Ondine Karvel\n\n{text}".replace("\n", eol)


@pytest.mark.parametrize("eol", ["\n", "\r\n", "\u2028"])
@pytest.mark.parametrize("between", ["\n\n", "\n \n"])
@pytest.mark.parametrize("width", [48, 60, 72, 80, 100])
def test_wrapped_lines_are_read_on(width, between, eol):
    text = wrap(width, between=between, eol=eol)
    assert is_hard_wrapped(text)
    spans = segment(text)
    joined = [" ".join(span.of(text).split()) for span in spans]
    assert joined == [line for part in ["Le bac est revenu", "Par Ondine Karvel", *PARAGRAPHS] for line in cut(part)]
    check_spans(text, spans, where="page")
    assert breaks(text, spans) == [
        *(Break.PARAGRAPH, Break.LINE, Break.PARAGRAPH, Break.SENTENCE),
        *(Break.PARAGRAPH, Break.SENTENCE, Break.SENTENCE, Break.PARAGRAPH),
    ]


def test_a_short_line_ends_its_paragraph_in_wrapped_text():
    text = wrap(60, between="\n")
    assert is_hard_wrapped(text)
    assert breaks(text, segment(text)).count(Break.LINE) == 3  # the byline, and two of the three paragraphs


@pytest.mark.parametrize(
    "text",
    [
        PAGE,
        "\n".join(PARAGRAPHS),
        "Accueil\nRégions\nLe port rouvre ses quais lundi, une semaine avant la date\nPar Ondine Karvel\nPublié lundi",
        "Selon un long article que le journal de la rive nord,\nL'Estuaire\na publié lundi,\nle bac est reparti.",
        "tomates\noignons\nun litre de bouillon\nsel, poivre et une branche de thym frais, cueilli le jour même\nriz",
    ],
)
def test_lines_that_end_for_a_reason_are_not_wrapped(text):
    assert not is_hard_wrapped(text)
    assert len(segment(text)) >= len(text.split("\n")) - text.count("\n\n")


def test_a_wrapped_block_among_unwrapped_lines():
    letter = textwrap.fill(PARAGRAPHS[0], 60)
    text = f"{PARAGRAPHS[1]}\n\n{letter}\n\nAccueil\nRégions\nContact"
    assert is_hard_wrapped(text)
    assert cut(text)[-3:] == ["Accueil", "Régions", "Contact"]
    assert len(cut(text)) == len(cut(PARAGRAPHS[1])) + len(cut(PARAGRAPHS[0])) + 3


# Size and failures


@pytest.mark.parametrize(
    "unit",
    [
        "Le bac part à midi. ",
        "« Oui. » ",
        "«",
        "'",
        "a. ",
        "M. ",
        "ABC.",
        ' "A. ',
        "mot ",
        "x",
        " " * 500 + ".",
        "Bac\n",
    ],
)
def test_two_million_characters_take_seconds(unit):
    text = (unit * (2_000_000 // len(unit) + 1))[:2_000_000]
    began = time.perf_counter()
    spans = segment(text)
    breaks(text, spans)
    assert time.perf_counter() - began < 60  # about 5 at worst on a slow core; quadratic time would be hours
    check_spans(text, spans, where="page")


def test_a_long_line_is_cut_like_its_sentences():
    sentence = "Le bac de M. Fargal part à midi, « quoi qu'il arrive », vers le nord."
    assert cut(" ".join([sentence] * 3000)) == [sentence] * 3000


class PanicException(BaseException):
    """As pyo3 calls it."""


def test_a_panic_of_the_library_costs_one_line(monkeypatch, caplog):
    real = segmentation.get_sentence_boundaries

    def fail(language, line):
        if "fatal" in line:
            raise PanicException("not a char boundary")
        return real(language, line)

    monkeypatch.setattr(segmentation, "get_sentence_boundaries", fail)
    assert cut("Un jour. Un autre.\nLe mot fatal. Fin.") == ["Un jour.", "Un autre.", "Le mot fatal. Fin."]
    assert "stays one segment" in caplog.text


def test_an_interruption_is_not_taken_for_a_panic(monkeypatch):
    def interrupt(_language, _line):
        raise KeyboardInterrupt

    monkeypatch.setattr(segmentation, "get_sentence_boundaries", interrupt)
    with pytest.raises(KeyboardInterrupt):
        segment("Un jour.")


# The bars


@pytest.mark.parametrize("name", ["train", "gate"])
def test_the_bar_on_the_labels(measuring, name):
    result = measuring.measure(read_pages(ROOT / "labels" / f"{name}.jsonl"))
    assert result.pages >= 30
    assert result.boundaries.f1 >= 0.98


@pytest.mark.shared
def test_the_bar_on_the_written_pages(shared_data):
    right = total = 0
    for path in sorted((shared_data / "written").glob("*.txt")):
        blocks = path.read_text(encoding="utf-8").split("\n", 1)[1].split("\n\n")
        paragraphs = [[line.split("\t")[1] for line in block.split("\n") if line.strip()] for block in blocks]
        gold, text = set(), ""
        for paragraph in filter(None, paragraphs):
            for index, part in enumerate(paragraph):
                text += "" if not text else " " if index else "\n\n"
                gold.add(len(text))
                text += part
        found = {span.start for span in segment(text)}
        right += len(found & gold) - 1  # the start of the page is no boundary
        total += len(found) + len(gold) - 2
    assert 2 * right / total >= 0.97


@pytest.mark.shared
@pytest.mark.parametrize("name", ["train", "gate"])
def test_the_bar_on_the_real_pages(shared_data, measuring, name):
    result = measuring.measure(read_pages(shared_data / "real" / f"{name}.jsonl"))
    assert result.outside.f1 >= 0.98


def test_the_table_names_each_file_and_no_text(measuring, tmp_path, capsys):
    line = (ROOT / "labels" / "gate.jsonl").read_text(encoding="utf-8").split("\n", 1)[0]
    (tmp_path / "one.jsonl").write_text(line + "\n", encoding="utf-8")
    assert measuring.main([str(tmp_path)]) == 0
    head, row = capsys.readouterr().out.strip().split("\n")
    assert "F1 outside" in head
    assert row.split()[:2] == [f"{tmp_path.name}/one.jsonl", "1"]
    assert measuring.main([str(tmp_path / "absent.jsonl")]) == 1
    assert "absent.jsonl" in capsys.readouterr().err


def test_a_boundary_just_after_the_closing_mark_is_outside(measuring):
    text = 'Il dit « oui ». "Non." Fin'
    inside = measuring.inside_quotes(text)
    assert text.index("«") not in inside
    assert text.index("oui") in inside
    assert text.index("»") in inside
    assert text.index("»") + 1 not in inside
    assert text.index('"') not in inside
    assert text.index("Fin") not in inside
