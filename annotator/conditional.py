"""The conditional mood in French text: its forms, found by their endings.

A conditional is a stem of the future with an ending of the imperfect ("aur-ait", "finir-aient"). Stems of the future
are infinitives in -er and -ir, those in -re without their e, and some forty irregular ones, so that stem and ending
tell it from the imperfects that look alike ("espérait", "montrait", "assurait", "tirait").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from annotator.records import Span

HAVE = r"(?:ai|as|a|avons|avez|ont|avai(?:s|t|ent)|eut|aura|auront|ayant|avoir)"  # auxiliaries of what was done

_ENDING = r"(?P<ending>ais|ait|ions|iez|aient)\b"
# Imperfects whose stem ends as a future's does: tirer, éclairer, encadrer, effondrer …
_IMPERFECT = (
    r"(?:re|at|é|sou)?tir|ad?mir|\w*spir|désir|délir|(?:cha|re)?vir|déchir|cir|empir|soupir|éclair|flair"
    r"|engendr|(?:en)?cadr|(?:sau)?poudr|effondr"
)
_STEM = (
    r"\w*(?:er|ir|dr|ttr|[ao][iî]tr|rompr|vaincr|querr|(?:de|ce|vi|sui|pleu|mou)vr|(?:con|ex|in)clur)"
    r"|s?aur|(?:re|entre|en|ren)?verr|(?:p|m|(?:ac|par|re|se|con|en)?c)ourr"
)
_FORM = re.compile(
    rf"\b(?!attraits?\b|(?:{_IMPERFECT})(?:ai[st]|ions|iez|aient)\b)(?P<stem>{_STEM}){_ENDING}", re.IGNORECASE
)
_HINT = re.compile(r"r(?:ai|io|ie)", re.IGNORECASE)  # every form has one; quicker to look for than forms
_OTHER_PAST = re.compile(rf"\b(?!(?:{_STEM})ai(?:t|ent)\b)\w{{2,}}ai(?:t|ent)\b", re.IGNORECASE)

_ADVERBS = (
    "pas|plus|jamais|point|rien|guère|ainsi|déjà|également|aussi|ensuite|alors|bien|même|donc|tout|tous|toutes?|encore|toujours"
    "|depuis|notamment|d'ailleurs|en effet|peut-être|(?:lui|elle|eux|elles)-mêmes?|en vain|au moins|en fait|ni"
)
# Between an auxiliary and its participle: a subject, adverbs, something between commas.
_BETWEEN = rf"(?:-(?:t-)?(?:ils?|elles?|on|je|ce))?(?:\s*,[^,.;]{{1,60}},)?(?:\s+(?:{_ADVERBS}|\w+ment))*\s+"
# By its ending; few nouns stand right behind "aurait", and these look like participles.
_NO_PARTICIPLE = "lieu|lui|qui|du|peu|droit|parmi|ici|pitié|moitié|plus|sous|tout|point|jusqu\\w*"
_PARTICIPLE = rf"(?!(?:{_NO_PARTICIPLE})\b)\w*(?:é|i|u|û|it|ert|int|mis|pris|quis|clus|mort)(?:es?|s)?\b"
_GONE = (
    r"(?:mort|parti|arrivé|(?:par|inter|sur|de|re|pro)?venu|né|décédé|tombé|r?entré|(?:res)?sorti|resté|passé|allé|monté"
    r"|descendu|retourné|apparu|intervenu)(?:es?|s)?\b"
)
_HAD = re.compile(rf"{_BETWEEN}{_PARTICIPLE}", re.IGNORECASE)
_WAS = re.compile(rf"{_BETWEEN}{_GONE}", re.IGNORECASE)
_REFLEXIVE = re.compile(r"\b(?:s'|se |m'|me |t'|te |nous |vous )(?:en |y )?\Z", re.IGNORECASE)


def compiled(*patterns: str) -> re.Pattern[str]:
    """Return one pattern, without regard to case, for any of several."""
    return re.compile("|".join(patterns), re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditional:
    """A form of the conditional: ``stem`` in lower case ("aur"), ``third`` person or not, ``past`` ("aurait versé")."""

    span: Span
    stem: str
    third: bool
    past: bool


def find_conditionals(text: str) -> Iterator[Conditional]:
    """Yield the conditional forms of ``text``, whose apostrophes are plain ones."""
    if _HINT.search(text) is None:
        return
    for match in _FORM.finditer(text):
        stem = match["stem"].casefold()
        if stem == "aur":
            past = _HAD.match(text, match.end()) is not None
        elif stem == "ser":
            reflexive = _REFLEXIVE.search(text, max(0, match.start() - 12), match.start()) is not None
            past = (_HAD if reflexive else _WAS).match(text, match.end()) is not None
        else:
            past = False
        yield Conditional(
            span=Span(match.start(), match.end()),
            stem=stem,
            third=match["ending"].casefold() in {"ait", "aient"},
            past=past,
        )


def has_imperfect(text: str) -> bool:
    """Say whether ``text`` holds a form in -ait or -aient that is no conditional."""
    return _OTHER_PAST.search(text) is not None
