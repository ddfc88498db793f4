"""Scored articles and gate pages for tests of profiles, from a few letters."""

from __future__ import annotations

import random

from annotator.profile.facts import ArticleFacts, SegmentFacts
from annotator.profile.measure import GatePage
from annotator.records import LABELS, Article, Attribution, Label, ScoredArticle, ScoredSegment, SourceType, Span

LETTERS = {
    "R": Label.REPORTED_CLAIM,
    "Q": Label.ATTRIBUTED_QUOTE,
    "E": Label.EDITORIAL_FRAMING,
    "B": Label.BOILERPLATE,
}


def scored(*lines, article_id="a1", outlet="Le Phare", version="fr-000000000000"):
    """An article of one segment a line: ``(letter, text, marks)``; marks name a source by its words in the text."""
    text, segments = "", []
    for letter, words, *rest in lines:
        marks = dict(rest[0]) if rest else {}
        start = len(text)
        text += words + "\n"
        role, unverified = marks.pop("role", None), marks.pop("unverified", None)

        def span(name, marks=marks, words=words, start=start):
            found = marks.get(name)
            if not isinstance(found, str):
                return found
            at = start + words.index(found)
            return Span(at, at + len(found))

        said = None
        if marks:
            said = Attribution(
                source=span("source"),
                cue=span("cue"),
                source_type=SourceType(marks["kind"]) if "kind" in marks else None,
                source_segment=marks.get("carried"),
                antecedent=marks.get("antecedent"),
                anonymity_reason=span("reason"),
            )
        segments.append(
            ScoredSegment(
                span=Span(start, start + len(words)),
                label=LETTERS[letter],
                confidence=0.9,
                probabilities={label: 0.9 if label is LETTERS[letter] else 0.0333 for label in LABELS},
                needs_review=False,
                role=role,
                unverified=unverified,
                attribution=said,
            )
        )
    article = Article(article_id=article_id, text=text, outlet=outlet)
    return ScoredArticle(article=article, model_version=version, segments=tuple(segments))


def facts(letters, *, article_id="a1", outlet="Le Phare", version="fr-000000000000", sourced=()):
    """An article of one segment a letter, each ten characters long; ``sourced`` are indices of sourced ones."""
    return ArticleFacts(
        article_id=article_id,
        outlet=outlet,
        model_version=version,
        segments=tuple(
            SegmentFacts(
                label=LETTERS[letter],
                length=10,
                sourced=index in sourced,
                attributed=index in sourced,
                source="Anne Roux" if index in sourced else None,
                source_type=SourceType.PERSON if index in sourced else None,
            )
            for index, letter in enumerate(letters)
        ),
    )


# What a made-up model says of each true label: it takes a third of all framing for report, and half of it as seldom.
SAYS = {"R": "R" * 18 + "QE", "Q": "Q" * 9 + "R", "E": "EERERE", "B": "B"}


def gate_pages(seed, *, outlets=20, pages=4, sizes=(8, 16, 32, 64), prefix="o"):
    """Simulated pages: every outlet has a mix of labels of its own, and the same model errs on all alike."""
    rng = random.Random(seed)
    found = []
    for outlet in range(outlets):
        weights = [rng.uniform(0.2, 1), rng.uniform(0.1, 1), rng.uniform(0.1, 1), rng.uniform(0.1, 0.6)]
        for page in range(pages):
            truth = rng.choices("RQEB", weights, k=rng.choice(sizes))
            labels = [rng.choice(SAYS[letter]) for letter in truth]
            speaking = [i for i, letter in enumerate(truth) if letter in "RQ" and rng.random() < 0.6]
            heard = [i for i in speaking if labels[i] in "RQ" and rng.random() < 0.7]
            name, article_id = f"{prefix}{outlet}", f"{prefix}{outlet}-{page}"
            gold = facts(truth, article_id=article_id, outlet=name, sourced=speaking)
            said = facts(labels, article_id=article_id, outlet=name, sourced=heard)
            found.append(GatePage(outlet=name, gold=gold, said=said, truth=gold.segments))
    return found
