"""Scored articles for the tests of the report: invented, with every kind of mark, and hostile ones."""

from __future__ import annotations

import re

from annotator.records import LABELS, Article, Attribution, Label, ScoredArticle, ScoredSegment, SourceType, Span
from annotator.report.build import build_report

R, Q, E, B = LABELS
# Letter of the label, whether to review, text; characters outside the Basic Multilingual Plane stand before marks.
LINES = (
    (R, False, "Le port rouvre lundi 🐟"),
    (B, False, "Par Jeanne Morel"),
    (R, True, "🐟🐟 Selon la capitainerie, trois quais seraient prêts."),
    (Q, False, "« Enfin ! », a soufflé Ondine Karvel."),
    (Q, False, "« Nous partons », a-t-elle ajouté."),
    (Q, True, "« Avec la marée. »"),
    (R, False, "Une source, qui ne veut pas être nommée par crainte pour son emploi, parle de dettes."),
    (E, True, "Une décision enfin courageuse !"),
    (B, False, "Lire aussi : la grue en panne"),
)
TEXT = "\r\n\r\n".join(text for _, _, text in LINES[:4]) + " " + "\n".join(text for _, _, text in LINES[4:])


def find(text, words, after=0):
    start = text.index(words, after)
    return Span(start, start + len(words))


def segment(span, label, *, review=False, unsure=0.8, **more):
    rest = round((1 - unsure) / 3, 4)
    probabilities = {other: unsure if other is label else rest for other in LABELS}
    fields = {"span": span, "label": label, "confidence": unsure, "probabilities": probabilities}
    return ScoredSegment(needs_review=review, **fields, **more)


def article(article_id="a1", **fields):
    """An article with a source, a cue, a pronoun, a source carried on, a reason for anonymity, a claim held apart."""
    marks = {
        2: Attribution(
            source=find(TEXT, "la capitainerie"), cue=find(TEXT, "Selon"), source_type=SourceType.ORGANISATION
        ),
        3: Attribution(source=find(TEXT, "Ondine Karvel"), cue=find(TEXT, "a soufflé"), source_type=SourceType.PERSON),
        4: Attribution(
            source=find(TEXT, "elle"),
            cue=find(TEXT, "a-t-elle ajouté"),
            source_type=SourceType.PERSON,
            antecedent=find(TEXT, "Ondine Karvel"),
        ),
        5: Attribution(source_type=SourceType.PERSON, source_segment=4),
        6: Attribution(
            source=find(TEXT, "Une source"),
            cue=find(TEXT, "parle"),
            source_type=SourceType.ANONYMOUS,
            anonymity_reason=find(TEXT, "par crainte pour son emploi"),
        ),
    }
    segments, place = [], 0
    for index, (label, review, words) in enumerate(LINES):
        span = find(TEXT, words, place)
        place = span.end
        role = "headline" if index == 0 else None if label is B else "body"
        unverified = True if index == 2 else None if label in {E, B} else False
        more = {"role": role, "unverified": unverified, "attribution": marks.get(index)}
        segments.append(segment(span, label, review=review, unsure=0.52 if review else 0.9123, **more))
    known = {
        "outlet": "Le Phare",
        "title": "Le port rouvre lundi",
        "date": "2026-03-01",
        "url": "https://phare.example/1",
    }
    page = Article(article_id=article_id, text=TEXT, **{**known, **fields})
    return ScoredArticle(article=page, model_version="v1", segments=tuple(segments))


def hostile(article_id, words):
    """An article every string of which is ``words``: text, source, cue, title, outlet, address, date, warning."""
    text = f"{words} dit {words}"
    spans = Span(0, len(words)), Span(len(words) + 1, len(words) + 4)
    said = Attribution(source=spans[0], cue=spans[1], source_type=SourceType.PERSON)
    fields = {"outlet": words, "title": words, "url": words, "date": words, "warnings": (words,)}
    page = Article(article_id=article_id, text=text, **fields)
    segments = (segment(Span(0, len(text)), Label.REPORTED_CLAIM, attribution=said),)
    return ScoredArticle(article=page, model_version=words, segments=segments)


def report(articles, **options):
    """The report of these articles, the error of their model unknown."""
    return build_report(articles, lambda _: None, **options)


def many(count, outlets=("Le Phare", "L’Écho", "Étoile du Sud", "zénith")):
    return [article(f"a{n}", outlet=outlets[n % len(outlets)], title=f"Le port rouvre, {n}") for n in range(count)]


def scripts_of(page):
    """The elements of a page that a parser calls scripts, with their types and texts."""
    return re.findall(r"<script([^>]*)>(.*?)</script>", page, re.DOTALL)
