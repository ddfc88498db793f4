"""Gender and number of a source, as far as its words and its neighbours show them: look-up, nothing is guessed.

A noun phrase shows them by its determiner ("la préfecture", "deux riverains"); a person's name by a title ("Mme"), by
the function beside it ("la porte-parole du parti, Sasha Valcourt", "Noor Adeline, présidente du club"), or by a first
name that is given to one gender alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from annotator.firstnames import FIRST_NAMES
from annotator.records import Span

Gender = Literal["m", "f"]

_PLAIN = str.maketrans(dict.fromkeys("’ʼ‘", "'") | dict.fromkeys("\u00a0\u202f\u2009\n\r\t", " "))
_NEAR = 160  # characters before and after a name in which its function may stand


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Gender (None: not shown) and number of a noun phrase or a pronoun."""

    gender: Gender | None
    plural: bool

    def fits(self, other: Agreement) -> bool:
        """Say whether nothing speaks against the two standing for the same."""
        return self.plural == other.plural and (None in {self.gender, other.gender} or self.gender == other.gender)


_HE, _SHE = Agreement(gender="m", plural=False), Agreement(gender="f", plural=False)
_THEY, _THEY_F = Agreement(gender=None, plural=True), Agreement(gender="f", plural=True)  # "ils": mixed groups too
_PRONOUNS: dict[str, Agreement] = {
    **dict.fromkeys(("il", "lui", "lui-même", "celui-ci", "ce dernier", "l'intéressé"), _HE),
    **dict.fromkeys(("elle", "elle-même", "celle-ci", "cette dernière", "l'intéressée"), _SHE),
    **dict.fromkeys(("ils", "eux", "ceux-ci", "ces derniers", "les intéressés"), _THEY),
    **dict.fromkeys(("elles", "celles-ci", "ces dernières", "les intéressées"), _THEY_F),
}

_DETERMINER = re.compile(
    r"(?:(?P<m>le|un|ce|du|au|aucun|certain|l'un)|(?P<f>la|une|cette|sa|ma|aucune|certaine|l'une)"
    r"|(?P<p>les|des|ces|ses|mes|nos|vos|leurs|deux|trois|quatre|cinq|six|sept|huit|neuf|dix|plusieurs|certain(?:e)?s"
    r"|quelques|beaucoup|d'autres|\d+)|(?P<s>son|mon|cet|leur|notre|votre|chaque|l'(?=\w)))(?:\s+|(?<='))",
    re.IGNORECASE,
)
# Functions that people hold; {f} stands for what makes them feminine.
_FEMININE = (
    r"\w*(?:trice|euse)|\w*(?:président|adjoint|avocat|magistrat|expert|candidat|militant|délégué|député|étudiant"
    r"|enseignant|assistant|habitant|commandant|lieutenant|dirigeant|représentant|gérant|consultant|général|échevin"
    r"|gouverneur|procureur|professeur|auteur|ingénieur|docteur|retraité|réfugié|rescapé|élu|écrivain|client|employé"
    r"|commerçant|participant|manifestant|correspondant|intervenant|substitut|préfèt)e"
    r"|\w*(?:conseill|infirmi|chanceli|premi|offici|polici|hôteli|écoli|ouvri|pharmaci|maraîch|caissi|cuisini)ère"
    r"|\w*(?:histor|académ|chirurg|pharmac|technic|music|électric|mathématic|gard|doy|paroiss|cito|comédi|pédiatric"
    r"|physic|mécanic|informatic|statistic|paris|lyc)(?:i)?enne|\w*patronne|\w*(?:cheffe|mairesse|maîtresse|poétesse"
    r"|princesse|reine|sœur|fille|femme|mère|veuve|épouse|tante|nièce|avocate)"
)
_MASCULINE = (
    r"\w*(?:direct|fondat|act|sénat|rédact|réalisat|coordinat|coordonnat|ambassad|chant|cherch|jou|entraîn|vend|min|fact"
    r"|agricult|élev|inspect|instituteur|administrat|médiat|animat|organisat|programmat|observat|négociat|collaborat)eur"
    r"|\w*(?:président|adjoint|avocat|magistrat|expert|candidat|militant|délégué|député|étudiant|enseignant|assistant"
    r"|commandant|lieutenant|dirigeant|représentant|gérant|consultant|général|échevin|gouverneur|procureur|professeur"
    r"|auteur|ingénieur|docteur|retraité|élu|écrivain|préfet|conseiller|infirmier|chancelier|officier|policier|maraîcher"
    r"|historien|chirurgien|pharmacien|technicien|musicien|comédien|physicien|patron|chef|prince|roi|frère|fils|père"
    r"|mari|époux|oncle|homme|correspondant|commerçant|employé|client|manifestant)"
)
_EPICENE = (
    r"\w+(?:iste|logue|crate|graphe|mètre|pathe|iatre|naute|ologue)|ministre|\w+-ministre|porte-parole|maire|secrétaire"
    r"|capitaine|bourgmestre|juge|cadre|membre|responsable|homologue|collègue|médecin|leader|guide|témoin|artiste"
    r"|cinéaste|propriétaire|locataire|commissaire|notaire|libraire|vétérinaire|bénévole|élève|diplomate|pilote|athlète"
    r"|capitaine|interprète|architecte|poète|peintre|activiste|spécialiste|scientifique|critique|numéro un|vice-maire"
)
_FUNCTION = rf"(?P<noun>(?P<nf>{_FEMININE})|(?P<nm>{_MASCULINE})|(?:{_EPICENE}))\b"
_SMALL = (
    r"(?:(?:ex|vice|co)-|(?:ancien(?:ne)?|jeune|future?|nouve(?:l|lle|au)|actuel(?:le)?|premi(?:er|ère)|haute?|grande?)"
    r" )*"
)
_BEFORE = re.compile(rf"\b(?P<det>l[ea]|l'|une?|son|sa|leur|notre|cet(?:te)?|ce)\s?{_SMALL}{_FUNCTION}", re.IGNORECASE)
_AFTER = re.compile(rf"\s?[,(]\s?(?:(?P<det>l[ea]|l'|une?|son|sa)\s?)?{_SMALL}{_FUNCTION}", re.IGNORECASE)
_TITLE = re.compile(
    r"\b(?:(?P<f>mme|mlle|madame|mademoiselle|lady|miss)|(?P<m>m\.|mr\.?|monsieur|sir|lord|mgr))\s\Z", re.IGNORECASE
)
# What a name in apposition may not be cut off from its function by.
_CUT = re.compile(r"[.;:!?«»“”\"—]")


# Feminine nouns behind an elided article, by their ending or by heart.
_ABSTRACT = re.compile(
    r"(?:\w+(?:[tsx]ion|ence|ance)|équipe|entreprise|épouse|amie|école|université|armée|église|étude|enquête|ONG)\b",
    re.IGNORECASE,
)


def of_pronoun(words: str) -> Agreement | None:
    """Return the agreement of a pronoun that stands for somebody named before; None for anything else."""
    return _PRONOUNS.get(words.translate(_PLAIN).casefold().strip())


def of_source(text: str, source: Span, segment: Span, *, person: bool) -> Agreement | None:
    """Return the agreement of a source in its segment; None for pronouns and for what shows no number.

    A name without a determiner shows one if it is a ``person``'s: "Washington" is nobody whom "il" stands for.
    """
    words = source.of(text).translate(_PLAIN).strip()
    if of_pronoun(words) is not None:
        return None
    if (match := _DETERMINER.match(words)) is not None:
        if match["p"]:
            return _THEY
        if match["s"]:
            return Agreement(gender=_of_function(words[match.end() :]), plural=False)
        return _SHE if match["f"] else _HE
    if not person or not words[:1].isupper():
        return None
    before = text[max(segment.start, source.start - _NEAR) : source.start].translate(_PLAIN)
    after = text[source.end : min(segment.end, source.end + _NEAR)].translate(_PLAIN)
    return Agreement(gender=_of_name(words, before, after), plural=False)


def _of_function(noun: str) -> Gender | None:
    match = re.match(_SMALL + _FUNCTION, noun, re.IGNORECASE)
    if match is None:
        return "f" if _ABSTRACT.match(noun) else None
    return "f" if match["nf"] else "m" if match["nm"] else None


def _of_name(name: str, before: str, after: str) -> Gender | None:
    if (title := _TITLE.search(before)) is not None:
        return "f" if title["f"] else "m"
    near = _CUT.split(before)[-1]
    beside = [*_BEFORE.finditer(near)][-1:] + [match for match in (_AFTER.match(after),) if match]
    for match in beside:
        determiner = (match["det"] or "").casefold()
        if match["nf"] or determiner in {"la", "une", "sa", "cette"}:
            return "f"
        if match["nm"] or determiner in {"le", "un", "ce"}:
            return "m"
    first = re.split(r"[\s-]", name, maxsplit=1)[0].casefold()
    return FIRST_NAMES.get(first) if first != name.casefold() else None


_BODY = (
    r"(?:direction|ministère|société|groupe|association|gouvernement|parquet|police|entreprise|mairie|préfecture|défense"
    r"|accusation|collectif|syndicat|parti|commission|mission|tribunal|cour|agence|organisation|compagnie|fédération"
    r"|famille|rapport|document|étude|note|enquête|communiqué|texte|déclaration|raffinerie|banque|hôpital|université"
    r"|raffinerie|club|équipe|patronat|opposition|majorité)s?\b"
)
_OTHER = re.compile(
    rf"\b(?P<det>l[ea]s?|l'|une?|des|deux|trois|ces?|cet|cette|son|sa|ses|leurs?)\s?{_SMALL}(?:{_FUNCTION}|(?:{_BODY}))",
    re.IGNORECASE,
)
_CAPITAL = r"[A-ZÉÈÎÔ][\w'-]+"
_NAMED = re.compile(
    rf"(?<=\b(?:M\.|Me|Dr)\s)(?P<titled>{_CAPITAL})|(?<=\bMme\s)(?P<lady>{_CAPITAL})"
    rf"|(?<![\w'-])(?P<full>(?!Mme\b)[A-ZÉÈÎÔ][\w'-]*[a-zéèêëïîôüç]\s(?:[a-z]{{2,3}}\s)?{_CAPITAL})"
)


def others_named(text: str) -> list[Agreement]:
    """Return, in order, the agreement of persons and bodies that ``text`` names without making them a source."""
    plain = text.translate(_PLAIN)
    found: list[tuple[int, Agreement]] = []
    for match in _OTHER.finditer(plain):
        determined = _DETERMINER.match(f"{match['det']} " if not match["det"].endswith("'") else f"{match['det']}x")
        if determined is None or determined["s"]:
            agreement = Agreement(gender="f" if match["nf"] else "m" if match["nm"] else None, plural=False)
        elif determined["p"]:
            agreement = _THEY
        else:
            agreement = _SHE if determined["f"] else _HE
        found.append((match.start(), agreement))
    for match in _NAMED.finditer(plain):
        before = plain[max(0, match.start() - _NEAR) : match.start()]
        gender = _of_name(match[0], before, plain[match.end() : match.end() + _NEAR])
        found.append((match.start(), Agreement(gender=gender, plural=False)))
    return [agreement for _, agreement in sorted(found, key=lambda item: item[0])]
