"""Scored articles for tests: invented sentences, odd characters on purpose."""

from __future__ import annotations

import re
from dataclasses import replace

from annotator.labelstudio.convert import prediction, task_data
from annotator.records import Article, Attribution, Label, ScoredArticle, ScoredSegment, SourceType, Span

PAGE = (
    "Le port rouvre lundi\n\n"
    "Selon la capitainerie, trois quais sont prêts. "
    "« Enfin ! », a soufflé Ondine Karvel.\n"
    "Lire aussi : la grue en panne"
)
# No-break spaces, a family joined by ZWJ, a flag, decomposed accents, CRLF, markup, a lone CR, a NUL.
NASTY = (
    "«\u00a0Tenez bon\u202f!\u00a0», a dit Éloïse 👩\u200d👩\u200d👧 hier.\r\n"
    "Le cafe\u0301 ferme 🇫🇷 à 18\u202fh <b>&amp; fin</b>.\r"
    "Ligne sans nom\0 ici.\r\n\r\n"
    "  Dernier mot \U0001f1e9\U0001f1ea.  "
)
# A pronoun, a quotation that goes on, and somebody who does not want to be named.
LINKED = (
    "« Le quai est prêt », dit Ondine Karvel.\n"
    "Elle a ajouté : « Venez. »\n"
    "« Venez tous. »\n"
    "« On a peur », souffle un docker, sous couvert d’anonymat, par crainte d’être renvoyé."
)
CYCLE = (Label.REPORTED_CLAIM, Label.ATTRIBUTED_QUOTE, Label.EDITORIAL_FRAMING, Label.BOILERPLATE)


def lines_of(text):
    return [Span(m.start(), m.end()) for m in re.finditer(r"[^\s](?:[^\r\n]*[^\s])?", text)]


def scored(text=PAGE, article_id="p1", *, version="v1", spans=None, shift=0, marks=True, **fields):
    """Score by rule: labels in turn, the first two words of a quote are its source and cue."""
    segments = []
    for index, span in enumerate(lines_of(text) if spans is None else spans):
        label = CYCLE[(index + shift) % 4]
        attribution = None
        words = [Span(span.start + m.start(), span.start + m.end()) for m in re.finditer(r"\w+", span.of(text))]
        if marks and label is Label.ATTRIBUTED_QUOTE and len(words) > 1:
            attribution = Attribution(source=words[0], cue=words[1], source_type=SourceType.PERSON)
        rest = {other: 0.1 for other in CYCLE if other is not label}
        segments.append(
            ScoredSegment(
                span=span,
                label=label,
                confidence=0.7,
                probabilities={label: 0.7, **rest},
                needs_review=index % 3 == 0,
                unverified=True if label is Label.REPORTED_CLAIM and index else None,
                attribution=attribution,
            )
        )
    fields = {"outlet": "Le Phare d'Ambres", "title": "Le port"} | fields
    article = Article(article_id=article_id, text=text, **fields)
    return ScoredArticle(article=article, model_version=version, segments=tuple(segments))


def linked(article_id="linked", *, version="v1"):
    """The page LINKED as it would be scored: an antecedent, a carried source, words of anonymity."""

    def place(words, start=0):
        at = LINKED.index(words, start)
        return Span(at, at + len(words))

    said = (
        Attribution(source=place("Ondine Karvel"), cue=place("dit"), source_type=SourceType.PERSON),
        Attribution(
            source=place("Elle"),
            cue=place("a ajouté"),
            source_type=SourceType.PERSON,
            antecedent=place("Ondine Karvel"),
        ),
        Attribution(source_type=SourceType.PERSON, source_segment=1),
        Attribution(
            source=place("un docker"),
            cue=place("souffle"),
            source_type=SourceType.ANONYMOUS,
            anonymity_reason=place("sous couvert d’anonymat, par crainte d’être renvoyé"),
        ),
    )
    base = scored(LINKED, article_id, version=version)
    segments = tuple(
        replace(seg, label=Label.ATTRIBUTED_QUOTE, attribution=one, unverified=index == 3)
        for index, (seg, one) in enumerate(zip(base.segments, said, strict=True))
    )
    return replace(base, segments=segments)


def long_page(segments=300):
    return "\n".join(
        f"Phrase numéro {n} du registre d’Ambres, n° {n * 7}\u202f: rien à signaler 🐟." for n in range(segments)
    )


def task(page, results=None, *, task_id=7, annotations=None):
    """The task that the server would give back, annotated by one person."""
    result = prediction(page)["result"] if results is None else results
    return {
        "id": task_id,
        "data": task_data(page.article),
        "annotations": [annotation(result)] if annotations is None else annotations,
    }


def annotation(result, *, number=1, user=3, updated="2026-03-01T10:00:00Z", **fields):
    return {
        "id": number,
        "completed_by": {"id": user, "email": "someone@example.org"},
        "created_at": "2026-03-01T09:00:00Z",
        "updated_at": updated,
        "lead_time": 12.5,
        "was_cancelled": False,
        "parent_prediction": 5,
        "result": result,
    } | fields
