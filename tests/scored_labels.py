"""Labelled pages as a model might have scored them, for tests and scripts that need pages but no model."""

from __future__ import annotations

from annotator.dataset import LabelledPage
from annotator.pipeline import find_roles
from annotator.records import LABELS, ScoredArticle, ScoredSegment
from annotator.references import complete
from annotator.segmentation import breaks
from annotator.unverified import is_unverified


def as_scored(page: LabelledPage) -> ScoredArticle:
    """Return the page with made-up confidences: every seventh segment is one to review."""
    text, spans = page.article.text, [seg.span for seg in page.segments]
    labels, truth = [seg.label for seg in page.segments], [seg.attribution for seg in page.segments]
    roles = find_roles(page.article, spans, labels)
    said = complete(text, spans, breaks(text, spans), labels, truth)
    segments = []
    for index, (seg, role) in enumerate(zip(page.segments, roles, strict=True)):
        sure = 0.55 if index % 7 == 3 else 0.97 - index % 5 / 50
        rest = {label: round((1 - sure) / 3, 4) for label in LABELS}
        segments.append(
            ScoredSegment(
                span=seg.span,
                label=seg.label,
                confidence=round(sure, 4),
                probabilities=rest | {seg.label: round(sure, 4)},
                needs_review=sure < 0.6,
                role=role,
                unverified=is_unverified(seg.span.of(text), seg.label),
                attribution=said[index],
            )
        )
    return ScoredArticle(article=page.article, model_version="v20261122", segments=tuple(segments))
