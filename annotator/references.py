"""What the page as a whole adds to the attributions of its segments: antecedents, carried sources, anonymity.

All of it is inferred by plain rules from labels, marks and words; probabilities and labels are not touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from annotator.anonymity import anonymity_words
from annotator.antecedents import link_pronouns
from annotator.carry import carry_sources
from annotator.records import Attribution, Label, Span
from annotator.segmentation import Break


def complete(
    text: str,
    spans: Sequence[Span],
    breaks: Sequence[Break],
    labels: Sequence[Label],
    given: Sequence[Attribution | None],
) -> list[Attribution | None]:
    """Fill ``antecedent``, ``source_segment`` and ``anonymity_reason`` of a page's attributions.

    The sequences are parallel. Pronouns come first, so that a quotation takes the kind of whom its source stands for.
    """
    found = link_pronouns(text, spans, labels, given)
    found = carry_sources(text, spans, breaks, labels, found)
    return [
        None if said is None else replace(said, anonymity_reason=anonymity_words(text, span))
        for span, said in zip(spans, found, strict=True)
    ]
