"""Scored articles as data for the page's script: small, and inert wherever they stand in an HTML file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from annotator.records import LABELS, ScoredArticle, ScoredSegment, Span

_SURROGATE = re.compile("[\ud800-\udfff]")
# Inside a <script> element only "</script" and "<!--" matter to the parser; without any "<", ">" and "&" nothing can
# be mistaken for markup in any context. The two line separators end a line in old scripts.
_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def json_text(value: Any) -> str:
    """Return JSON that can stand in a ``<script>`` element: no ``<``, ``>``, ``&``, and valid UTF-8.

    A lone surrogate, which UTF-8 has no bytes for, becomes U+FFFD: one character for one, so offsets stay right.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return _SURROGATE.sub("\ufffd", text).translate(_ESCAPES)


def clean(text: str) -> str:
    """Return ``text`` as a file in UTF-8 and XML can hold it: surrogates and control characters replaced one by one."""
    return re.sub(r"[\ud800-\udfff\ufffe\uffff]", "\ufffd", re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", text))


def article_data(scored: ScoredArticle) -> dict[str, Any]:
    """Return the record (schema 1) without what is null, false or can be found from the text by its offsets."""
    art = scored.article
    record: dict[str, Any] = {
        "article_id": art.article_id,
        "outlet": art.outlet,
        "url": art.url,
        "title": art.title,
        "date": art.date,
        "model_version": scored.model_version,
        "warnings": list(art.warnings),
        "profile": _profile(scored.profile),
    }
    kept = {name: value for name, value in record.items() if value}
    return kept | {"text": art.text, "segments": [_segment(segment) for segment in scored.segments]}


def _profile(profile: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Keep what the reader shows of a profile: each figure with its interval and n."""
    if profile is None:
        return None
    shown = ("value", "low", "high", "n")
    figures = {name: {key: figure[key] for key in shown} for name, figure in profile["figures"].items()}
    return {"corrected": profile["corrected"], "figures": figures}


def _segment(segment: ScoredSegment) -> dict[str, Any]:
    said = segment.attribution
    marks = None
    if said is not None:
        marks = {
            "source": _span(said.source),
            "cue": _span(said.cue),
            "source_type": said.source_type,
            "source_segment": said.source_segment,
            "antecedent": _span(said.antecedent),
            "anonymity_reason": _span(said.anonymity_reason),
        }
        marks = {name: value for name, value in marks.items() if value is not None}
    values: dict[str, Any] = {
        "start": segment.span.start,
        "end": segment.span.end,
        "label": segment.label,
        "confidence": segment.confidence,
        "probabilities": [segment.probabilities.get(label, 0) for label in LABELS],
    }
    optional = {
        "needs_review": segment.needs_review,
        "role": segment.role,
        "unverified": segment.unverified,
        "attribution": marks,
    }
    return values | {name: value for name, value in optional.items() if value}


def _span(span: Span | None) -> dict[str, int] | None:
    return None if span is None else {"start": span.start, "end": span.end}


def summary(scored: ScoredArticle) -> dict[str, Any]:
    """Return what the list of articles shows and filters by.

    ``counts`` has a row a label (order of the model): segments, of them to review, unverified, both.
    """
    counts = [[0, 0, 0, 0] for _ in LABELS]
    for segment in scored.segments:
        row = counts[LABELS.index(segment.label)]
        review, unverified = bool(segment.needs_review), bool(segment.unverified)
        for place, there in enumerate((True, review, unverified, review and unverified)):
            row[place] += there
    art = scored.article
    return {"title": art.title, "id": art.article_id, "outlet": art.outlet, "date": art.date, "counts": counts}
