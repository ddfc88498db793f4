"""The words that say that a source is not named and, where they stand there, why.

"sous couvert d'anonymat", "qui a requis l'anonymat, par crainte de représailles", "sous condition d'anonymat car elle
n'est pas autorisée à parler". The span reaches from the first of these words to the last; :func:`states_reason` tells
whether a reason is among them.
"""

from __future__ import annotations

import re

from annotator.records import Span

_PLAIN = str.maketrans(dict.fromkeys("’ʼ‘", "'") | dict.fromkeys("\u00a0\u202f\u2009\n\r\t", " "))

# Most segments hold none of these, and are not looked at further.
_HINT = re.compile(r"anonym|autoris|habilit|nommé|cité|identi|publié|\bnoms?\b", re.IGNORECASE)
_HAVE = r"(?:a |ont |avait |avaient )"
_UNNAMED = (
    r"(?:(?:garder |conserver |préserver )?(?:l'|son |leur )anonymat|rester anonymes?"
    r"|ne (?:pas )?être (?:pas )?(?:nommée?s?|citée?s?|identifiée?s?)"
    r"|que (?:son|leurs?) (?:nom|identité|prénom)s? (?:ne )?(?:soit|soient|apparaisse|apparaissent)[^,.;:»”]{0,30})"
)
_REQUEST = (
    r"(?:sous (?:le |la )?(?:couvert|sceau|condition|réserve)s? (?:de l'|d'|de son )anonymat"
    rf"|(?:à|sous|sur) (?:la )?condition (?:de |d'|que )(?:{_UNNAMED}|l'anonymat|anonymat)"
    rf"|(?:(?:qui |il |elle )?{_HAVE}|qui |ayant |en )?(?:requ(?:is|iert|ièrent|érant)|demand\w+|réclam\w+|souhait\w+"
    rf"|exig\w+|préf[éè]r\w+|t(?:ient|iennent|enait|enant) à|voul\w+|désir\w+) (?:à |de |d')?{_UNNAMED})"
)
_ALLOWED = r"(?:autoris|habilit)ée?s? à (?:s'exprimer|parler|commenter|communiquer)[^,.;:»”]{0,30}"
_NOT_ALLOWED = rf"(?:(?:(?:qui )?n'(?:est|était|sont|étaient|étant) |non )pas {_ALLOWED}|(?:non|pas) {_ALLOWED})"
_REASON = (
    r"(?:(?:par |de )(?:crainte|peur|souci|prudence|mesure)|craignant|redoutant|en raison|compte tenu|étant donné|car"
    r"|parce qu|puisqu|faute d|afin d|au motif|invoquant|n'étant pas|n'ayant pas|du fait d|à cause d|pour (?:raisons"
    r"|des raisons|ne pas|éviter|(?:se |la |le |les )?protéger|(?:sa|leur) sécurité|préserver|pouvoir|parler))"
)
_TAIL = r"[^.;:»”!?(),]{0,120}"
_WORDS = re.compile(
    rf"\b(?:(?:{_REASON}\b{_TAIL},? )?{_REQUEST}(?:\s?[,(]? ?(?:et )?{_REASON}{_TAIL})?|{_NOT_ALLOWED})", re.IGNORECASE
)
_STATED = re.compile(rf"\b{_REASON}|{_NOT_ALLOWED}", re.IGNORECASE)


def anonymity_words(text: str, segment: Span) -> Span | None:
    """Return the words of a segment that say that its source is not named, and why; None where there are none."""
    plain = segment.of(text).translate(_PLAIN)
    match = _WORDS.search(plain) if _HINT.search(plain) else None
    if match is None:
        return None
    found = match[0].rstrip()
    return Span(segment.start + match.start(), segment.start + match.start() + len(found))


def states_reason(words: str) -> bool:
    """Say whether the words of a request for anonymity give a reason for it."""
    return _STATED.search(words.translate(_PLAIN)) is not None
