"""Labelled pages for tests: one small page, changed at will."""

from __future__ import annotations

import json
from dataclasses import replace

from annotator.dataset import LabelledPage, LabelledSegment
from annotator.records import Article, Attribution, Label, SourceType, Span

TEXT = "Le port rouvre lundi\n\nSelon la capitainerie, trois quais sont prêts. « Enfin ! », a soufflé Ondine Karvel."


def page(article_id="p1", *, text=TEXT, outlet="Le Phare d'Ambres", split="train", **changes):
    parts = [(0, 20), (22, 68), (69, 106)]
    labels = [Label.REPORTED_CLAIM, Label.REPORTED_CLAIM, Label.ATTRIBUTED_QUOTE]
    marks = [
        None,
        Attribution(source=Span(28, 43), cue=Span(22, 27), source_type=SourceType.ORGANISATION),
        Attribution(source=Span(92, 105), cue=Span(82, 91), source_type=SourceType.PERSON),
    ]
    segments = tuple(
        LabelledSegment(span=Span(*part), label=label, attribution=mark)
        for part, label, mark in zip(parts, labels, marks, strict=True)
    )
    if text != TEXT:
        segments = (LabelledSegment(span=Span(0, len(text)), label=Label.REPORTED_CLAIM),)
    values = {"genre": "daily", "topic": "port", "segments": segments} | changes
    return LabelledPage(article=Article(article_id=article_id, text=text, outlet=outlet), split=split, **values)


def with_segment(base, index, **changes):
    segments = list(base.segments)
    segments[index] = replace(segments[index], **changes)
    return replace(base, segments=tuple(segments))


def lines(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


ANNOTATION = {
    "annotator": "merle",
    "created_at": "2026-03-01T10:00:00Z",
    "lead_time": 61.5,
    "codebook": 1,
    "model_version": None,
    "task_id": 7,
    "comment": "hésitation sur le titre",
    "segments": [
        {"start": 0, "end": 20, "label": "boilerplate", "origin": "changed"},
        {"start": 22, "end": 68, "label": "reported_claim", "origin": "kept"},
        {"start": 69, "end": 106, "label": "attributed_quote", "origin": "kept"},
    ],
}
