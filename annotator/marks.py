"""How labels, sources and cues look wherever people see them: letter, colour, names.

The terminal, Label Studio and the report take them from here, so that a colour means one thing everywhere. The colours
are those of Okabe and Ito ("Color Universal Design", 2008), which the colour-blind tell apart; the letter stands
beside the colour, so that nothing is lost without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from annotator.records import Label, SourceType


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What stands for a label: one letter, a colour (``#rrggbb``), its name in French and in English."""

    letter: str
    colour: str
    fr: str
    en: str


LABEL_MARKS: Mapping[Label, Mark] = {
    Label.REPORTED_CLAIM: Mark(letter="R", colour="#56B4E9", fr="Fait rapporté", en="Reported claim"),
    Label.ATTRIBUTED_QUOTE: Mark(letter="Q", colour="#009E73", fr="Citation attribuée", en="Attributed quote"),
    Label.EDITORIAL_FRAMING: Mark(letter="E", colour="#E69F00", fr="Cadrage éditorial", en="Editorial framing"),
    Label.BOILERPLATE: Mark(letter="B", colour="#999999", fr="Paratexte", en="Boilerplate"),
}
SOURCE_COLOUR = "#0072B2"
CUE_COLOUR = "#CC79A7"
ANONYMITY_COLOUR = "#F0E442"
REVIEW_COLOUR = "#D55E00"

# Each in French, then in English.
KIND_NAMES: Mapping[SourceType, tuple[str, str]] = {
    SourceType.PERSON: ("Personne nommée", "Named person"),
    SourceType.ORGANISATION: ("Organisation", "Organisation"),
    SourceType.DOCUMENT: ("Document", "Document"),
    SourceType.MEDIA: ("Média", "Media"),
    SourceType.ANONYMOUS: ("Anonyme", "Anonymous"),
}
