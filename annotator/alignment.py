"""What a scored page gets right of a labelled one: labels, sources and cues, where segments start, profiles.

The segmentations of the two may differ: a gold segment is judged by the predicted segment that covers most of it.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from annotator.metrics import MISSED
from annotator.profile.facts import article_facts
from annotator.profile.measure import GatePage
from annotator.records import LABELS, Label, ScoredArticle, ScoredSegment, Span
from annotator.references import complete
from annotator.segmentation import breaks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from annotator.dataset import LabelledPage, LabelledSegment
    from annotator.metrics import FloatArray, IntArray

SPAN_MEASURES = ("source_exact", "source_overlap", "cue_exact", "cue_overlap", "source_type")
INDEX = {label: index for index, label in enumerate(LABELS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class PageCounts:
    """What one page adds to an evaluation: arrays over its n gold segments, and counts of spans.

    ``gold``, ``also`` and ``predicted`` [n] index the labels (MISSED: no prediction; an absent ``also`` equals no
    index); ``confidence`` [n] and ``probabilities`` [n, 4] are NaN where nothing was predicted; ``spans`` [7, 3]
    counts right, predicted and gold ones of each of SPAN_MEASURES, then of segment starts and of unverified segments.
    """

    gold: IntArray
    also: IntArray
    predicted: IntArray
    confidence: FloatArray
    probabilities: FloatArray
    review: IntArray
    spans: IntArray


def align(gold: Sequence[LabelledSegment], predicted: ScoredArticle) -> list[Label | None]:
    """Give each gold segment the label of the predicted segment that covers most of its characters.

    The first one counts among equals; a gold segment that none covers gets None, which is wrong.
    """
    homes = cover([seg.span for seg in gold], [seg.span for seg in predicted.segments])
    return [None if home is None else predicted.segments[home].label for home in homes]


def cover(spans: Sequence[Span], others: Sequence[Span]) -> list[int | None]:
    """Return for each span the index of that of ``others`` (disjoint, in order) which shares most with it."""
    ends = [other.end for other in others]
    found: list[int | None] = []
    for span in spans:
        best, most = None, 0
        for index in range(bisect_right(ends, span.start), len(others)):
            if others[index].start >= span.end:
                break
            shared = min(span.end, others[index].end) - max(span.start, others[index].start)
            if shared > most:
                best, most = index, shared
        found.append(best)
    return found


def count_page(page: LabelledPage, segments: Sequence[ScoredSegment]) -> PageCounts:
    """Compare a page with what was predicted for it (nothing at all: every gold segment is missed)."""
    spans = [seg.span for seg in page.segments]
    found = [None if home is None else segments[home] for home in cover(spans, [seg.span for seg in segments])]
    none = [math.nan] * len(LABELS)
    return PageCounts(
        gold=np.array([INDEX[seg.label] for seg in page.segments], dtype=np.int64),
        also=np.array([MISSED - 1 if seg.also is None else INDEX[seg.also] for seg in page.segments], dtype=np.int64),
        predicted=np.array([MISSED if seg is None else INDEX[seg.label] for seg in found], dtype=np.int64),
        confidence=np.array([math.nan if seg is None else seg.confidence for seg in found], dtype=np.float64),
        probabilities=np.array(
            [none if seg is None else [seg.probabilities[label] for label in LABELS] for seg in found],
            dtype=np.float64,
        ).reshape(-1, len(LABELS)),
        review=np.array([seg is not None and seg.needs_review for seg in found], dtype=np.int64),
        spans=np.array(
            [
                *_count_marks(page.segments, segments),
                _count_cuts(page, segments),
                _count_unverified(page.segments, found),
            ],
            dtype=np.int64,
        ),
    )


def as_scored(page: LabelledPage) -> ScoredArticle:
    """Return a labelled page as a model without doubt or error would have scored it; no segment has a role.

    Where people linked nothing, sources are carried and pronouns linked by the same rules as in scoring; whether a
    reason for anonymity is given is for people alone to say.
    """
    text, spans = page.article.text, [seg.span for seg in page.segments]
    said = [seg.attribution for seg in page.segments]
    if not any(one is not None and (one.source_segment is not None or one.antecedent is not None) for one in said):
        labels = [seg.label for seg in page.segments]
        linked = complete(text, spans, breaks(text, spans), labels, said)
        reasons = [None if one is None else one.anonymity_reason for one in said]
        said = [
            None if one is None else replace(one, anonymity_reason=reason)
            for one, reason in zip(linked, reasons, strict=True)
        ]
    return ScoredArticle(
        article=page.article,
        model_version="people",
        segments=tuple(
            ScoredSegment(
                span=seg.span,
                label=seg.label,
                confidence=1.0,
                probabilities={label: float(label is seg.label) for label in LABELS},
                needs_review=False,
                unverified=seg.unverified,
                attribution=attribution,
            )
            for seg, attribution in zip(page.segments, said, strict=True)
        ),
    )


def gate_page(page: LabelledPage, scored: ScoredArticle, *, outlet: str) -> GatePage:
    """Put a labelled page and what was predicted for it side by side, as the error of profiles is measured on them."""
    gold = article_facts(as_scored(page))
    homes = cover([seg.span for seg in scored.segments], [seg.span for seg in page.segments])
    return GatePage(
        outlet=outlet,
        gold=gold,
        said=article_facts(scored),
        truth=tuple(None if home is None else gold.segments[home] for home in homes),
    )


def _count_marks(gold: Sequence[LabelledSegment], segments: Sequence[ScoredSegment]) -> list[list[int]]:
    """Count (right, predicted, gold) for each of SPAN_MEASURES."""
    places = [seg.span for seg in gold]
    marks = [seg.attribution for seg in segments if seg.attribution is not None]
    counts = {name: [0, 0, 0] for name in SPAN_MEASURES}
    for field, names in (("source", ("source_exact", "source_overlap", "source_type")), ("cue", SPAN_MEASURES[2:4])):
        found = [(span, mark.source_type) for mark in marks if (span := getattr(mark, field)) is not None]
        held = defaultdict(list)
        for item, home in zip(found, cover([span for span, _ in found], places), strict=True):
            held[home].append(item)
        for name in names:
            counts[name][1] = len(found)
        for index, seg in enumerate(gold):
            truth = None if seg.attribution is None else getattr(seg.attribution, field)
            if seg.attribution is None or truth is None:
                continue
            near = [(span, kind) for span, kind in held[index] if span.start < truth.end and truth.start < span.end]
            hits = {
                f"{field}_exact": any(span == truth for span, _ in near),
                f"{field}_overlap": bool(near),
                "source_type": any(kind is not None and kind == seg.attribution.source_type for _, kind in near),
            }
            for name in names:
                counts[name][0] += hits[name]
                counts[name][2] += 1
    return [counts[name] for name in SPAN_MEASURES]


def _count_cuts(page: LabelledPage, segments: Sequence[ScoredSegment]) -> list[int]:
    gold, found = (_starts(page.article.text, [s.span for s in side]) for side in (page.segments, segments))
    return [len(gold & found), len(found), len(gold)]


def _count_unverified(gold: Sequence[LabelledSegment], found: Sequence[ScoredSegment | None]) -> list[int]:
    """Count (right, predicted, gold) over the gold segments that people judged, one way or the other."""
    judged = [
        (seg.unverified, other is not None and other.unverified is True)
        for seg, other in zip(gold, found, strict=True)
        if seg.unverified is not None
    ]
    truth = sum(right for right, _ in judged)
    return [sum(right and said for right, said in judged), sum(said for _, said in judged), truth]


def _starts(text: str, spans: Sequence[Span]) -> set[int]:
    """Return where each segment but the first begins, white space at its head left out."""
    heads = (span.end - len(span.of(text).lstrip()) for span in spans[1:])
    return set(heads)
