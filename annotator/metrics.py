"""Numbers on arrays: scores of a confusion matrix, calibration, resampling of articles. No I/O, no pages.

A confusion matrix is [..., K, K + 1]: rows are true classes, columns predicted ones, and the last column counts what
got no prediction at all. Leading axes are articles or resamples. A score that nothing defines (no such class, nothing
to find and nothing found) is NaN, without a warning.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

LEVEL = 0.95
BINS = 15
MISSED = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A score with the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return ``0.874 [0.851, 0.893]``, or ``-`` where the score is not defined."""
        if math.isnan(self.value):
            return "-"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassScores:
    """Precision, recall and F1 of each class, [..., K]."""

    precision: FloatArray
    recall: FloatArray
    f1: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """Predictions of like confidence: the span of it (ends included), its mean, and the share that is right."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelScore:
    """Scores of one class: ``gold`` items have it, ``predicted`` items were given it."""

    precision: float
    recall: float
    f1: Estimate
    gold: int
    predicted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanScore:
    """Scores of spans found, pooled over all pages (micro), with the counts they rest on."""

    precision: float
    recall: float
    f1: Estimate
    right: int
    gold: int
    predicted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationScore:
    """Whether confidence means something, over ``n`` predictions (what got none has no confidence).

    ``ece``: expected calibration error over 15 bins of equal mass; ``brier``: summed over classes, 0 to 2.
    """

    ece: float
    brier: float
    n: int
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewScore:
    """What asking for review is worth: the share of items that a person is asked to see, and the error rates.

    ``error_rate_passed`` is the rate among items that nobody would look at; an item without a prediction is one.
    """

    share: float
    error_rate_passed: float
    error_rate_reviewed: float


def confusion(gold: ArrayLike, predicted: ArrayLike, *, classes: int) -> IntArray:
    """Count pairs of class indices, [n] and [n], into [classes, classes + 1]; MISSED (-1) is no prediction."""
    truth = np.asarray(gold, dtype=np.int64)
    found = np.asarray(predicted, dtype=np.int64)
    column = np.where(found < 0, classes, found)
    counts = np.bincount(truth * (classes + 1) + column, minlength=classes * (classes + 1))
    return counts.reshape(classes, classes + 1).astype(np.int64)


def class_scores(matrix: ArrayLike) -> ClassScores:
    """Return the scores of each class of confusion matrices [..., K, K + 1].

    A class that is neither in gold nor predicted has no score (NaN); one that occurs has a precision of 0 when
    nothing was predicted as it, and a recall of 0 when it is not in gold.
    """
    counts = np.asarray(matrix, dtype=np.float64)
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    return _scores(right, counts.sum(axis=-2)[..., :-1], counts.sum(axis=-1))


def span_scores(counts: ArrayLike) -> ClassScores:
    """Return the scores of counts [..., 3]: right, predicted, gold."""
    right, predicted, gold = np.moveaxis(np.asarray(counts, dtype=np.float64), -1, 0)
    return _scores(right, predicted, gold)


def _scores(right: FloatArray, predicted: FloatArray, gold: FloatArray) -> ClassScores:
    occurs = (predicted + gold) > 0
    return ClassScores(
        precision=np.where(occurs, ratio(right, predicted, empty=0.0), np.nan),
        recall=np.where(occurs, ratio(right, gold, empty=0.0), np.nan),
        f1=ratio(2 * right, predicted + gold),
    )


def macro_f1(matrix: ArrayLike) -> FloatArray:
    """Return the mean F1 over the classes that occur in gold or prediction, [...], of matrices [..., K, K + 1]."""
    f1 = class_scores(matrix).f1
    return ratio(np.where(np.isnan(f1), 0.0, f1).sum(axis=-1), (~np.isnan(f1)).sum(axis=-1))


def accuracy(matrix: ArrayLike) -> FloatArray:
    """Return the share on the diagonal, [...], of matrices [..., K, K + 1]."""
    counts = np.asarray(matrix, dtype=np.float64)
    return ratio(np.trace(counts, axis1=-2, axis2=-1), counts.sum(axis=(-2, -1)))


def ratio(part: ArrayLike, whole: ArrayLike, *, empty: float = math.nan) -> FloatArray:
    """Divide, with ``empty`` where ``whole`` is 0."""
    over = np.asarray(part, dtype=np.float64)
    under = np.asarray(whole, dtype=np.float64)
    shares: FloatArray = np.full(np.broadcast_shapes(over.shape, under.shape), empty)
    np.divide(over, under, out=shares, where=under != 0)
    return shares


def article_weights(articles: int, *, seed: int, resamples: int) -> FloatArray:
    """Draw ``resamples`` samples of ``articles`` out of as many, with replacement: how often each is drawn, [R, N]."""
    draws = np.random.default_rng(seed).multinomial(articles, np.full(articles, 1 / articles), size=resamples)
    return draws.astype(np.float64)


def resample(weights: FloatArray, counts: ArrayLike) -> FloatArray:
    """Sum counts of articles [N, ...] under weights [R, N] into [R, ...]."""
    per_article = np.asarray(counts, dtype=np.float64)
    sums: FloatArray = np.asarray(np.tensordot(weights, per_article, axes=1), dtype=np.float64)
    return sums


def interval(value: ArrayLike, samples: FloatArray) -> Estimate:
    """Return the percentile interval of resampled scores [R] around a score (Efron and Tibshirani 1993, chapter 13).

    Resamples in which the score is not defined are left out.
    """
    defined = samples[~np.isnan(samples)]
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if len(defined) else (math.nan, math.nan)
    return Estimate(value=float(np.asarray(value)), low=float(low), high=float(high))


def class_summary(total: ArrayLike, drawn: FloatArray) -> list[LabelScore]:
    """Return the scores of each class of a confusion matrix [K, K + 1], with intervals from resamples [R, K, K + 1]."""
    counts = np.asarray(total)
    scores, samples = class_scores(counts), class_scores(drawn).f1
    return [
        LabelScore(
            precision=float(scores.precision[i]),
            recall=float(scores.recall[i]),
            f1=interval(scores.f1[i], samples[:, i]),
            gold=int(counts[i].sum()),
            predicted=int(counts[:, i].sum()),
        )
        for i in range(len(counts))
    ]


def span_summary(total: ArrayLike, drawn: FloatArray) -> list[SpanScore]:
    """Return the scores of counts [measures, 3] (right, predicted, gold), with intervals from [R, measures, 3]."""
    counts = np.asarray(total)
    scores, samples = span_scores(counts), span_scores(drawn).f1
    return [
        SpanScore(
            precision=float(scores.precision[i]),
            recall=float(scores.recall[i]),
            f1=interval(scores.f1[i], samples[:, i]),
            right=int(row[0]),
            predicted=int(row[1]),
            gold=int(row[2]),
        )
        for i, row in enumerate(counts)
    ]


def review(correct: ArrayLike, reviewed: ArrayLike) -> ReviewScore:
    """Return the share of items to review and the error rates beside and inside it; [n] and [n] booleans."""
    wrong, seen = ~np.asarray(correct, dtype=bool), np.asarray(reviewed, dtype=bool)
    return ReviewScore(
        share=float(ratio(seen.sum(), seen.size)),
        error_rate_passed=float(ratio((wrong & ~seen).sum(), (~seen).sum())),
        error_rate_reviewed=float(ratio((wrong & seen).sum(), seen.sum())),
    )


def calibration(
    confidence: ArrayLike, correct: ArrayLike, probabilities: ArrayLike, gold: ArrayLike
) -> CalibrationScore:
    """Judge confidence [n] and probabilities [n, K] against what was right [n] and the true class indices [n]."""
    ece, bins = reliability(confidence, correct)
    return CalibrationScore(ece=ece, brier=brier(probabilities, gold), n=np.asarray(gold).size, bins=bins)


def reliability(confidence: ArrayLike, correct: ArrayLike) -> tuple[float, tuple[ReliabilityBin, ...]]:
    """Return the expected calibration error of predictions, [n] and [n], and the bins it was taken over.

    The error is the mean gap between confidence and accuracy of 15 bins of equal mass, weighted by their size
    (Naeini et al. 2015; equal mass: Nguyen and O'Connor 2015). Equal confidences share a bin, so that the order
    of predictions does not matter; there are fewer bins where many are equal. NaN without predictions.
    """
    stated = np.asarray(confidence, dtype=np.float64)
    right = np.asarray(correct, dtype=np.float64)
    if not len(stated):
        return math.nan, ()
    # Edges are confidences that occur: between two, rounding would put equal values on both sides.
    edges = np.unique(np.quantile(stated, np.arange(1, BINS) / BINS, method="lower"))
    index = np.searchsorted(edges, stated, side="left")
    bins = []
    for number in np.unique(index):
        inside = index == number
        bins.append(
            ReliabilityBin(
                low=float(stated[inside].min()),
                high=float(stated[inside].max()),
                n=int(inside.sum()),
                confidence=float(stated[inside].mean()),
                accuracy=float(right[inside].mean()),
            )
        )
    return sum(row.n * abs(row.confidence - row.accuracy) for row in bins) / len(stated), tuple(bins)


def brier(probabilities: ArrayLike, gold: ArrayLike) -> float:
    """Return the Brier score (1950) of probabilities [n, K] against class indices [n].

    It is the squared distance to the truth, summed over classes and averaged over predictions: 0 to 2.
    """
    stated = np.asarray(probabilities, dtype=np.float64)
    truth = np.asarray(gold, dtype=np.int64)
    if not len(truth):
        return math.nan
    return float(((stated - np.eye(stated.shape[1])[truth]) ** 2).sum(axis=1).mean())
