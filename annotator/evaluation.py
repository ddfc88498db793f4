"""Scoring a model against labelled pages.

Every page is scored twice: with the scorer's own segmentation (the figure that counts: it is what a user gets) and
on the gold boundaries (the labels alone). Intervals come from resampling articles, not segments, since the segments
of a page stand and fall together.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from annotator import __version__, metrics
from annotator.alignment import SPAN_MEASURES, PageCounts, align, count_page, gate_page
from annotator.dataset import LabelledPage, digest, outlet_families
from annotator.errors import InputError
from annotator.metrics import MISSED
from annotator.profile.error import ErrorModel
from annotator.profile.measure import measure_error
from annotator.records import LABELS, Article, Label, ScoredArticle, Span, check_spans

__all__ = [
    "Evaluation",
    "GenreScore",
    "PageOutcome",
    "ScorePage",
    "Scores",
    "align",
    "evaluate",
]

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from annotator.metrics import CalibrationScore, Estimate, FloatArray, LabelScore, ReviewScore, SpanScore
    from annotator.profile.measure import GatePage

logger = logging.getLogger(__name__)

Boundaries = Literal["own", "gold"]
ScorePage = Callable[[Article, Sequence[Span] | None], ScoredArticle]


@dataclass(frozen=True, slots=True, kw_only=True)
class GenreScore:
    """Macro-F1 over the pages of one genre, and how many they are."""

    macro_f1: float
    pages: int
    segments: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PageOutcome:
    """The labels of a page's gold segments, true and predicted, and the confidence of the predicted ones.

    Where no predicted segment covers one, its label is None and its confidence NaN.
    """

    article_id: str
    gold: tuple[Label, ...]
    predicted: tuple[Label | None, ...]
    confidence: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """All scores under one segmentation.

    ``accuracy_also`` takes the label of a second reader as right too. ``confusion`` has a row for each true label and
    a column for each predicted one, in the order of the labels, then a column for segments without a prediction.
    ``cuts`` scores the segmentation itself: where segments start, the first of a page left out; ``unverified`` the
    wordings at a distance, over the segments that the labelled pages judge. ``failed`` names the pages on which the
    scorer broke down; all their segments count as wrong.
    """

    signature: str
    articles: int
    segments: int
    macro_f1: Estimate
    accuracy: Estimate
    accuracy_also: float
    labels: Mapping[Label, LabelScore]
    genres: Mapping[str, GenreScore]
    confusion: tuple[tuple[int, ...], ...]
    calibration: CalibrationScore
    review: ReviewScore
    attribution: Mapping[str, SpanScore]
    cuts: SpanScore
    unverified: SpanScore
    failed: tuple[str, ...]
    pages: tuple[PageOutcome, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A model on labelled pages: ``own`` with its own segmentation, ``gold`` on the boundaries of the gold segments.

    ``data`` is the digest of the pages (:func:`annotator.dataset.digest`). ``error`` is what profiles are corrected
    with, measured with its own segmentation.
    """

    model_version: str
    data: str
    own: Scores
    gold: Scores
    error: ErrorModel

    def to_dict(self, *, pages: bool = False) -> dict[str, Any]:
        """Return the JSON form, rounded to six decimals, null where undefined; ``pages`` adds the labels of each."""
        record: dict[str, Any] = {
            "model_version": self.model_version,
            "data": self.data,
            "own": plain(self.own),
            "gold": plain(self.gold),
            "error": self.error.to_dict(),
        }
        if not pages:
            del record["own"]["pages"], record["gold"]["pages"]
        return record

    def table(self) -> list[list[str]]:
        """Return a header and one list of cells a row: measure, own boundaries, gold boundaries."""
        columns = [_rows(self.own), _rows(self.gold)]
        body = [[name, *(column.get(name, "-") for column in columns)] for name in columns[0] | columns[1]]
        return [["measure", "own boundaries", "gold boundaries"], *body]

    def confusion_table(self, boundaries: Boundaries = "own") -> list[list[str]]:
        """Return a header and one list of cells a true label; the last column counts segments without a label."""
        scores = self.own if boundaries == "own" else self.gold
        rows = [[str(label), *map(str, row)] for label, row in zip(LABELS, scores.confusion, strict=True)]
        return [["true \\ predicted", *map(str, LABELS), "none"], *rows]


def evaluate(
    pages: Sequence[LabelledPage], score_page: ScorePage, *, seed: int = 0, resamples: int = 1000
) -> Evaluation:
    """Score labelled pages with ``score_page(article, spans)``; ``spans`` None asks for its own segmentation.

    Labels are compared over the gold segments (:func:`align`). Attributions: a predicted source (or cue) belongs to
    the gold segment that holds most of its characters, the first among equals, whatever label either segment has.
    A gold source is found when a predicted one of its segment is the same span (exact) or shares a character with it
    (overlap; it counts once); every predicted one that finds nothing is wrong. ``source_type`` asks of an overlapping
    source that its type is right too. F1 is micro over all pages; the type of a source that stands outside its
    segment (a cue alone) is not scored.

    A page on which ``score_page`` raises, or gives a record that breaks the schema or belongs to another text, is
    logged and listed, and all its gold segments are wrong. The order of the pages does not matter.

    Raises:
        InputError: there is nothing to score, ``resamples`` is less than 1, or the records name several models.
    """
    if not any(page.segments for page in pages):
        raise InputError("evaluate: no labelled segment in these pages: name a file of labelled pages")
    if resamples < 1:
        raise InputError(f"evaluate: {resamples} resamples: use 1 or more")
    pages = sorted(pages, key=lambda page: page.article.article_id)
    data = digest(pages)
    weights = metrics.article_weights(len(pages), seed=seed, resamples=resamples)
    families = outlet_families(page.article.outlet for page in pages)
    sides: list[GatePage] = []
    versions: set[str] = set()
    runs: dict[Boundaries, tuple[list[PageCounts], list[str]]] = {}
    for boundaries in ("own", "gold"):
        counts: list[PageCounts] = []
        failed: list[str] = []
        for page in pages:
            spans = None if boundaries == "own" else [seg.span for seg in page.segments]
            try:
                scored = score_page(page.article, spans)
                _check(scored, page.article)
                counts.append(count_page(page, scored.segments))
                versions.add(scored.model_version)
                if boundaries == "own":
                    sides.append(gate_page(page, scored, outlet=families[page.article.outlet]))
            except Exception as error:  # noqa: BLE001 - whatever breaks on a page, the others still count
                _log_failure(page, error)
                failed.append(page.article.article_id)
                counts.append(count_page(page, ()))
        runs[boundaries] = counts, failed
    if len(versions) > 1:
        raise InputError(f"evaluate: records of several models {sorted(versions)}: evaluate one at a time")
    version = next(iter(versions), "none")
    scores: dict[Boundaries, Scores] = {}
    for boundaries, (counts, failed) in runs.items():
        signature = (
            f"model:{version}|data:{data[:12]}|pages:{len(pages)}|segments:{sum(len(page.segments) for page in pages)}"
            f"|boundaries:{boundaries}|seed:{seed}|resamples:{resamples}|version:{__version__}"
        )
        scores[boundaries] = _summarise(pages, counts, weights, signature, failed)
    return Evaluation(
        model_version=version,
        data=data,
        own=scores["own"],
        gold=scores["gold"],
        error=measure_error(sides, data=data),
    )


def _log_failure(page: LabelledPage, error: Exception) -> None:
    # The message of a foreign error may quote the page: its kind is enough, unless someone debugs.
    article_id, kind = page.article.article_id, type(error).__name__
    logger.warning("page %r: scoring failed (%s): all its %d segments are wrong", article_id, kind, len(page.segments))
    logger.debug("page %r", article_id, exc_info=error)


def _check(scored: ScoredArticle, article: Article) -> None:
    if scored.article.text != article.text:
        raise InputError(f"record {scored.article.article_id!r} belongs to another text than {article.article_id!r}")
    check_spans(article.text, [seg.span for seg in scored.segments], where="record")


def _summarise(
    pages: Sequence[LabelledPage],
    counts: Sequence[PageCounts],
    weights: FloatArray,
    signature: str,
    failed: Sequence[str],
) -> Scores:
    def joined(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(count, name) for count in counts])

    gold, predicted = joined("gold"), joined("predicted")
    right, given = gold == predicted, predicted != MISSED
    matrices = np.stack([metrics.confusion(count.gold, count.predicted, classes=len(LABELS)) for count in counts])
    total, drawn = matrices.sum(axis=0), metrics.resample(weights, matrices)
    spans = np.stack([count.spans for count in counts])
    span_scores = metrics.span_summary(spans.sum(axis=0), metrics.resample(weights, spans))
    genres: dict[str, list[int]] = defaultdict(list)
    for number, page in enumerate(pages):
        genres[page.genre or "-"].append(number)
    return Scores(
        signature=signature,
        articles=len(pages),
        segments=len(gold),
        macro_f1=metrics.interval(metrics.macro_f1(total), metrics.macro_f1(drawn)),
        accuracy=metrics.interval(metrics.accuracy(total), metrics.accuracy(drawn)),
        accuracy_also=float(metrics.ratio((right | (joined("also") == predicted)).sum(), len(gold))),
        labels=dict(zip(LABELS, metrics.class_summary(total, drawn), strict=True)),
        genres={
            genre: GenreScore(
                macro_f1=float(metrics.macro_f1(matrices[members].sum(axis=0))),
                pages=len(members),
                segments=int(matrices[members].sum()),
            )
            for genre, members in sorted(genres.items(), key=lambda item: (-len(item[1]), item[0]))
        },
        confusion=tuple(tuple(row) for row in total.tolist()),
        calibration=metrics.calibration(
            joined("confidence")[given], right[given], joined("probabilities")[given], gold[given]
        ),
        review=metrics.review(right, joined("review")),
        attribution=dict(zip(SPAN_MEASURES, span_scores[:-2], strict=True)),
        cuts=span_scores[-2],
        unverified=span_scores[-1],
        failed=tuple(failed),
        pages=tuple(_outcome(page, count) for page, count in zip(pages, counts, strict=True)),
    )


def _outcome(page: LabelledPage, count: PageCounts) -> PageOutcome:
    return PageOutcome(
        article_id=page.article.article_id,
        gold=tuple(seg.label for seg in page.segments),
        predicted=tuple(None if index == MISSED else LABELS[index] for index in count.predicted.tolist()),
        confidence=tuple(count.confidence.tolist()),
    )


def _rows(scores: Scores) -> dict[str, str]:
    def number(value: float) -> str:
        return "-" if math.isnan(value) else f"{value:.3f}"

    rows = {
        "macro-F1": str(scores.macro_f1),
        "accuracy": str(scores.accuracy),
        "accuracy, second reader's label accepted": number(scores.accuracy_also),
    }
    for label, one in scores.labels.items():
        detail = f"P {number(one.precision)}, R {number(one.recall)}"
        rows[f"F1 {label} (n={one.gold})"] = f"{one.f1}, {detail}"
    for genre, part in scores.genres.items():
        rows[f"macro-F1 {genre} ({part.pages} pages, {part.segments} segments)"] = number(part.macro_f1)
    rows |= {
        "calibration error (15 bins of equal mass)": number(scores.calibration.ece),
        "Brier score (0 to 2)": number(scores.calibration.brier),
        "share needing review": number(scores.review.share),
        "error rate, not reviewed": number(scores.review.error_rate_passed),
        "error rate, reviewed": number(scores.review.error_rate_reviewed),
    }
    others = [("segment starts", scores.cuts)]
    if scores.unverified.gold:
        others.append(("unverified", scores.unverified))
    for name, spans in (*scores.attribution.items(), *others):
        key = f"F1 {name.replace('_', ' ')} (n={spans.gold})"
        rows[key] = f"{spans.f1}, P {number(spans.precision)}, R {number(spans.recall)}"
    rows |= {"pages that failed": str(len(scores.failed)), "signature": scores.signature}
    return rows


def plain(value: Any) -> Any:
    """Return the JSON form of a value made of dataclasses, rounded to six decimals, null where undefined."""
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 6)
    return str(value) if isinstance(value, StrEnum) else value
