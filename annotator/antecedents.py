"""Whom a pronoun stands for, where a plain rule can tell; precision before recall.

The antecedent of a pronoun that is a source ("il", "cette dernière") is the nearest earlier source that agrees with it
in gender and number, as far as those show (:mod:`annotator.agreement`), at most :data:`REACH` segments back; a pronoun
that was linked passes its antecedent on. It is left open where somebody else may be meant: between the two, or before
the pronoun in its own sentence, stands a person or a body that agrees as well and is no source; or an earlier pronoun
that agrees was left open. "celui-ci" and "ce dernier" mean the last one named: only the segment before counts.

The nearest candidate that agrees: Hobbs 1978, "Resolving pronoun references"; Mitkov 1998, "Robust pronoun resolution
with limited knowledge". Neither syntax nor a list of names is used.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from annotator.agreement import Agreement, of_pronoun, of_source, others_named
from annotator.records import Attribution, Label, SourceType, Span

REACH = 3

_QUOTED = re.compile(r"«[^»]*»?|“[^”]*”?|\"[^\"]*\"?")
_LAST_NAMED = re.compile(r"(?:celui|celle|ceux|celles)-ci|c(?:e|es|ette) derni", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Speaker:
    """Somebody whom a later pronoun may stand for; without a span, whom nothing may be linked past."""

    agreement: Agreement
    span: Span | None = None
    kind: SourceType | None = None


def link_pronouns(
    text: str, spans: Sequence[Span], labels: Sequence[Label], given: Sequence[Attribution | None]
) -> list[Attribution | None]:
    """Give each source that is a pronoun its antecedent and the antecedent's kind, where the rule can tell.

    The sequences are parallel; what is not changed is returned as it was given. An antecedent ends before its pronoun.
    """
    found = list(given)
    recent: list[list[_Speaker]] = []  # of each segment before that counts, the latest last
    for index, (span, label, said) in enumerate(zip(spans, labels, given, strict=True)):
        if label is Label.BOILERPLATE:
            continue
        source = None if said is None else said.source
        if said is None or source is None:
            if label is not Label.ATTRIBUTED_QUOTE:  # a quotation that goes on takes nobody further away
                recent.append([_Speaker(agreement=other) for other in others_named(_told(span.of(text)))])
        elif (pronoun := of_pronoun(source.of(text))) is not None:
            before = [_Speaker(agreement=other) for other in others_named(_told(text[span.start : source.start]))]
            reach = 1 if _LAST_NAMED.match(source.of(text)) else REACH
            speaker = _antecedent(pronoun, [*recent[-reach:], before])
            if speaker is None:
                recent.append([*before, _Speaker(agreement=pronoun)])
            else:
                found[index] = replace(said, antecedent=speaker.span, source_type=speaker.kind)
                recent.append([speaker])
        elif (agreement := of_source(text, source, span, person=said.source_type is SourceType.PERSON)) is not None:
            recent.append([_Speaker(agreement=agreement, span=source, kind=said.source_type)])
        else:
            recent.append([])
    return found


def _told(text: str) -> str:
    return _QUOTED.sub(" ", text)


def _antecedent(pronoun: Agreement, recent: Sequence[Sequence[_Speaker]]) -> _Speaker | None:
    for back, speakers in enumerate(reversed(recent)):
        for speaker in reversed(speakers):
            if not speaker.agreement.fits(pronoun):
                continue
            sure = speaker.agreement.gender is not None or pronoun.plural or back <= 1
            return replace(speaker, agreement=pronoun) if speaker.span is not None and sure else None
    return None
