"""Does the wording of a segment hold a claim at a distance? The codebook's `unverified`, as a rule in two parts.

**Words** that do so wherever they stand ("présumé", "soupçonné de", "selon des rumeurs") are looked up, less their
homographs and what the codebook takes out (a named accuser). **The conditional mood** does so when
it is that of hearsay ("aurait versé": :mod:`annotator.hearsay`). What the rule is worth: docs/attribution.md
(`scripts/measure_unverified.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from annotator.conditional import HAVE, compiled
from annotator.hearsay import judge_conditionals
from annotator.records import Label, Span

# Typographic apostrophes and spaces are read as plain ones; lengths stay the same.
_PLAIN = str.maketrans(dict.fromkeys("’ʼ‘", "'") | dict.fromkeys("\u00a0\u202f\u2009\n\r\t", " "))
_DE = r"(?:de\b|d'|du\b|des\b)"
_AGREED = r"(?:es?|s)?\b"

_PARTICIPLES = compiled(  # no distance where somebody did it: "Kiev a accusé", "cela a supposé"
    rf"\b(?:présumé|supposé){_AGREED}(?!\s+innocent)",
    rf"\b(?:soupçonné|suspecté){_AGREED}\s+(?:par\s[^,.;]{{1,40}}?\s|\w+ment\s)?{_DE}",
    rf"\baccusé{_AGREED}\s+(?:\w+ment\s)?{_DE}(?!\s*réception)",
    rf"\bprésenté{_AGREED}\s+(?:(?:par|ici|partout|alors|\w+ment)\b[^.,;]{{0,40}}?\s)?comme\b"
    r"(?!\s+(?:prévu|convenu|candidat|chaque|toujours))",
)
_OTHERS = compiled(
    rf"\bprétendu{_AGREED}(?!\s+(?:à|avoir|être)\b|\s+qu)",
    r"\b(?:prétend|suppos|présum)(?:u|é)ment\b",
    r"\bsoi-disant\b",
    r"\b(?<!ne\s)prét(?:end(?:ent|ai(?:t|ent)|i(?:t|rent)|ra|ront|u)?)\s+(?:[\w-]+\s+)?(?:que\b|qu'|avoir\b|être\b|n'|ne\b|montrer\b|prouver\b|détenir\b)",
    rf"\bon\s(?:[lm]'|(?:les?|la|nous|vous)\s)?(?:a\s)?accus(?:e|é|ait){_AGREED}\s+{_DE}",
    r"\b(?:non|in)[\s-]?(?:vérifi|confirm)(?:é|able)\w*",
    r"\bn(?:'|e\s)[\w'\s]{0,25}?(?:pu|peu(?:t|vent)|pouvai(?:t|ent)|possible|été|encore)\s[\w'\s]{0,20}?vérifi(?:er|é)\w*",
    r"\b(?:impossible|difficile)s?\s+(?:à|d[e'])\s?(?:en\s)?vérifier\b",
    r"\bpu\s(?:pas\s)?être\s(?:\w+ment\s)?confirmé\w*",
    r"\b(?:selon|d'après|suivant|croire)\s+(?:[\w-]+\s+){0,2}rumeurs?\b",
    r"\brumeurs?\s[\w\s-]{0,20}?\b(?:f(?:ont|aisant)\sétat|v(?:eut|eulent|oulait)|cour(?:t|ent|ait|aient)|circul\w+"
    r"|affirm\w+|annonc\w+|di(?:t|sent|sait)|selon\slesquelles|selon\slaquelle)\b",
    r"\bbruits?\scour(?:t|ent|ait|aient)\b",
)
# "accusations de fraude", not those of somebody ("de Kiev", "de la partie adverse").
_ACCUSATION = re.compile(
    r"\baccusations?\s(?:de\s|d')\s?(?!l[ae]s?\b|l'|une?\b|s(?:on|a|es)\b|leurs?\b|ce(?:t|tte|s)?\b)(?P<what>[\w-]+)",
    re.IGNORECASE,
)
_DONE_BY_SOMEBODY = re.compile(rf"\b{HAVE}\s+(?:(?!été\b)[\w-]+\s+){{0,2}}\Z", re.IGNORECASE)
_ACCUSER = re.compile(
    rf"(?:{_DE}\s?(?!avoir\b|être\b|n'|ne\b)[\w-]+\s(?:[\w-]+\s)?)?(?:[\w-]+ée?s?\s)?par\s(?!certain|plusieurs|d'autres|des\s)",
    re.IGNORECASE,
)
# Nobody is accused so far: "quiconque est accusé de", "de peur d'être accusé de".
_NOBODY = compiled(
    r"\b(?:quiconque|tout\w*)\s(?:[\w'-]+\s){0,3}\Z",
    r"\b(?:peur|crain\w+|risqu\w+|peine|éviter|sans|peu[tx]|peuvent|pourr\w+|devr\w+)\s(?:de\s|d')?être\s\Z",
)
_NORM = re.compile(r"\s+(?:s'|se\s)?(?!être\b|avoir\b)[\w-]+(?:er|ir|re|oir)\b", re.IGNORECASE)


_NEAR = 80  # characters before a participle that can tell who did it


def _words(text: str) -> Iterator[Span]:
    for match in _PARTICIPLES.finditer(text):
        before, word = text[max(0, match.start() - _NEAR) : match.start()], match[0].casefold()
        by_somebody = _DONE_BY_SOMEBODY.search(before) or (
            word.startswith("accusé") and _ACCUSER.match(text, match.start() + len(word.split()[0]) + 1)
        )
        nobody = word.startswith(("accusé", "soupçonné", "suspecté")) and _NOBODY.search(before)
        norm = word.startswith("supposé") and _NORM.match(text, match.end())  # "supposé fermer à midi"
        if not (by_somebody or nobody or norm):
            yield Span(*match.span())
    for match in _ACCUSATION.finditer(text):
        what = match["what"]
        somebody = what[0].isupper() and not match[0].isupper()
        if not somebody and not re.match(r"\s(?:[\w-]+\s)?par\b", text[match.end() :]):
            yield Span(*match.span())
    for match in _OTHERS.finditer(text):
        yield Span(*match.span())


def distances(text: str, label: Label) -> list[tuple[Span, str | None]]:
    """Return what in a segment's text may hold its claim at a distance: words, then conditionals.

    Each comes with None where it does, or with the reason why it does not (a name of hearsay.REASONS).
    """
    plain = text.translate(_PLAIN)
    words: list[tuple[Span, str | None]] = [(span, None) for span in _words(plain)]
    return words + list(judge_conditionals(plain, quotation=label is Label.ATTRIBUTED_QUOTE))


def is_unverified(text: str, label: Label) -> bool | None:
    """Say whether the wording of a segment holds a claim at a distance; None where the codebook does not ask.

    ``text`` is that of the segment alone; ``label`` decides whether it is asked (claims and quotations) and, in a
    quotation without any mark, that all of it is quoted.
    """
    if label not in {Label.REPORTED_CLAIM, Label.ATTRIBUTED_QUOTE}:
        return None
    return any(reason is None for _, reason in distances(text, label))
