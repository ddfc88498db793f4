"""The whole inference flow: an article in, a scored article out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from annotator.attribution import attribute
from annotator.classifier import SegmentClassifier
from annotator.language import language_warning
from annotator.profile import profile_article
from annotator.records import LABELS, Article, Label, Role, ScoredArticle, ScoredSegment, Span
from annotator.references import complete
from annotator.segmentation import breaks, segment
from annotator.unverified import is_unverified
from annotator.windows import encode

_WORDS = re.compile(r"\w+")


def score(article: Article, classifier: SegmentClassifier, *, spans: Sequence[Span] | None = None) -> ScoredArticle:
    """Segment, classify, attribute and profile one article; ``spans`` replaces the segmentation by one's own.

    Probabilities are rounded to four decimals; an article without text gives a record without segments.
    """
    text = article.text
    cut = segment(text) if spans is None else list(spans)
    manifest = classifier.manifest
    gaps = breaks(text, cut)
    page = encode(text, cut, gaps, classifier.tokenizer, manifest.windows, title=article.title)
    logits = classifier.logits(page)
    exact = classifier.probabilities(logits.labels)
    labels = [LABELS[int(row.argmax())] for row in exact]
    probabilities = exact.round(4)
    roles = find_roles(article, cut, labels)
    spoken = [
        attribute(text, label, logits.tags[i], logits.source_types[i], page.offsets[i])
        for i, label in enumerate(labels)
    ]
    attributions = complete(text, cut, gaps, labels, spoken)
    segments = tuple(
        ScoredSegment(
            span=span,
            label=label,
            confidence=float(row.max()),
            probabilities={name: float(p) for name, p in zip(LABELS, row, strict=True)},
            needs_review=bool(row.max() < manifest.calibration.review_below),
            role=role,
            unverified=is_unverified(span.of(text), label),
            attribution=attribution,
        )
        for span, label, row, role, attribution in zip(cut, labels, probabilities, roles, attributions, strict=True)
    )
    scored = ScoredArticle(article=article, model_version=classifier.version, segments=segments)
    return replace(scored, profile=profile_article(scored, classifier.error).to_dict())


def find_roles(article: Article, spans: Sequence[Span], labels: Sequence[Label]) -> list[Role | None]:
    """Say of each segment whether it is the page's headline or body; None for furniture.

    A headline is a segment whose words are the title's, or begin it or it them (a site name glued on); without
    a title nothing is called a headline.
    """
    title = _key(article.title or "")

    def role(span: Span, label: Label) -> Role | None:
        key = _key(span.of(article.text))
        if title and key and (key == title or (len(key) > 20 and (title.startswith(key) or key.startswith(title)))):
            return "headline"
        return None if label is Label.BOILERPLATE else "body"

    return [role(span, label) for span, label in zip(spans, labels, strict=True)]


def _key(text: str) -> str:
    return " ".join(_WORDS.findall(unicodedata.normalize("NFKC", text).casefold()))


class Annotator:
    """A loaded model and what it is for: scoring strings or articles, one or many.

    >>> annotator = Annotator.load()
    >>> for segment in annotator.score("Le ministre a démissionné, selon l'AFP.").segments:
    ...     print(segment.label, segment.confidence)
    """

    def __init__(self, classifier: SegmentClassifier) -> None:
        """Wrap a loaded classifier."""
        self.classifier = classifier

    @classmethod
    def load(
        cls,
        models: Path | None = None,
        version: str | None = None,
        *,
        threads: int | None = None,
        fast: bool = False,
        device: str = "cpu",
    ) -> Annotator:
        """Load a model version (default: the current one) from a registry (default: see registry.models_folder).

        ``fast`` and ``device`` are those of :class:`annotator.classifier.SegmentClassifier`.

        Raises:
            ModelError: there is no such model, or its folder is damaged.
        """
        return cls(SegmentClassifier.load(models, version, threads=threads, fast=fast, device=device))

    def score(self, page: str | Article) -> ScoredArticle:
        """Score one page; a string becomes an article whose id is a digest of its text."""
        if isinstance(page, str):
            warning = language_warning(page)
            unnamed = Article(article_id="", text=page, warnings=(warning,) if warning else ())
            page = replace(unnamed, article_id="text-" + unnamed.text_sha256[:16])
        return score(page, self.classifier)

    def score_many(self, pages: Iterable[str | Article]) -> Iterator[ScoredArticle]:
        """Score pages lazily, in order."""
        return map(self.score, pages)
