"""Calibration fitted on held-out logits: a temperature, a beta map where that helps, a review threshold."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from annotator.calibration import FloatArray, Review, needed_articles, probabilities, review_for
from annotator.errors import InputError
from annotator.metrics import class_scores, confusion, macro_f1, reliability
from annotator.registry import Calibration

logger = logging.getLogger(__name__)

RISK = 0.02
_PARTS = 5
_ERRORS = 2.0  # standard errors that a beta map must gain


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Pooled logits [n, 4] and true label indices [n] of segments that the network never trained on.

    ``articles`` [n] numbers the article of each; without it every segment stands for itself. ``sources`` [n] numbers
    where they come from (a fold of outlets, a collection of pages); without it they are one source.
    """

    logits: NDArray[np.float32]
    truth: NDArray[np.int64]
    articles: NDArray[np.int64] | None = None
    sources: NDArray[np.int64] | None = None

    def groups(self) -> NDArray[np.int64]:
        """Return the article of each segment, [n]."""
        return np.arange(len(self.truth)) if self.articles is None else self.articles


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A calibration with the review threshold in it, how that threshold was chosen, and what was compared.

    ``temperature_loss`` and ``beta_loss`` are negative log-likelihoods of being right, cross-validated over articles;
    ``gains`` is what the map saves on each source, in standard errors.
    """

    calibration: Calibration
    review: Review
    temperature_loss: float
    beta_loss: float
    gains: tuple[float, ...]


def joined(samples: Sequence[HeldOut]) -> HeldOut:
    """Return several samples as one, each a source of its own."""
    articles, shift = [], 0
    for sample in samples:
        found = np.unique(sample.groups(), return_inverse=True)[1]
        articles.append(found + shift)
        shift += int(found.max(initial=-1)) + 1
    return HeldOut(
        logits=np.concatenate([sample.logits for sample in samples]),
        truth=np.concatenate([sample.truth for sample in samples]),
        articles=np.concatenate(articles),
        sources=np.repeat(np.arange(len(samples)), [len(sample.truth) for sample in samples]),
    )


def stored(path: Path) -> HeldOut:
    """Read the logits of a fold that scripts/train.py left (``held-out.npz``).

    Raises:
        InputError: there is no such file.
    """
    try:
        with np.load(path) as found:
            return HeldOut(**{name: found[name] for name in ("logits", "truth", "articles")})
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: no held-out logits: name the held-out.npz of a fold of a run ({error})") from error


def calibrate(sample: HeldOut, *, risk: float = RISK) -> Calibration:
    """Return the calibration of :func:`fit_calibration`."""
    return fit_calibration(sample, risk=risk).calibration


def fit_calibration(sample: HeldOut, *, risk: float = RISK) -> Fitted:
    """Fit a temperature and, where it helps, a beta map of the top confidence; then the threshold for ``risk``.

    The beta map (Kull et al. 2017) has three parameters and mends what one temperature cannot, for instance the
    ceiling that label smoothing puts on confidence. It is taken when its loss, cross-validated over articles, is
    lower by more than two standard errors of the paired difference. Where there are several sources, each is judged by
    what the others fitted, and must gain so much: pages to come are a source of their own.

    Raises:
        InputError: there are no held-out segments.
    """
    if not len(sample.truth):
        raise InputError("calibration: no held-out segments: hold out a fold with labelled segments")
    logits, truth = sample.logits.astype(np.float64), sample.truth
    articles = np.unique(sample.groups(), return_inverse=True)[1]
    right = logits.argmax(axis=1) == truth
    plain, beta = np.zeros(len(truth)), np.zeros(len(truth))
    several = sample.sources is not None and len(np.unique(sample.sources)) > 1
    if several:
        parts = np.asarray(sample.sources)
    else:  # dealt by size, so that the parts are alike: what stands in one part is never in another
        parts = np.argsort(np.argsort(-np.bincount(articles), kind="stable"), kind="stable")[articles] % _PARTS
    for part in np.unique(parts):
        inside = parts == part
        fitted = temperature(logits[~inside], truth[~inside]) if not inside.all() else Calibration()
        mapped = beta_map(logits[~inside], right[~inside], fitted)
        plain[inside] = _loss(logits[inside], right[inside], fitted)
        beta[inside] = _loss(logits[inside], right[inside], mapped)
    judged = [parts == part for part in np.unique(parts)] if several else [np.ones(len(truth), dtype=bool)]
    gains = tuple(_gain((plain - beta)[inside], articles[inside]) for inside in judged)
    chosen = temperature(logits, truth)
    if min(gains) > _ERRORS:
        chosen = beta_map(logits, right, chosen)
    logger.info("calibration: %s (loss %.4f, beta %.4f)", chosen, plain.mean(), beta.mean())
    confidence = probabilities(logits, chosen).max(axis=1)
    review = review_for(confidence, right, articles, risk=risk)
    calibration = Calibration(temperature=chosen.temperature, top=chosen.top, review_below=round(review.below, 4))
    return Fitted(
        calibration=calibration, review=review, gains=gains,
        temperature_loss=float(plain.mean()), beta_loss=float(beta.mean()),
    )  # fmt: skip


def temperature(logits: FloatArray, truth: NDArray[np.int64]) -> Calibration:
    """Fit one: the least negative log-likelihood, by golden-section search over the logarithm of the temperature."""
    rows = np.arange(len(truth))

    def loss(log_t: float) -> float:
        stated = probabilities(logits, Calibration(temperature=float(np.exp(log_t))))
        return float(-np.log(stated[rows, truth] + 1e-12).mean())

    low, high, ratio = np.log(0.2), np.log(5.0), (np.sqrt(5) - 1) / 2
    for _ in range(60):
        a, b = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, b) if loss(a) < loss(b) else (a, high)
    return Calibration(temperature=round(float(np.exp((low + high) / 2)), 4))


def _features(logits: FloatArray, calibration: Calibration) -> FloatArray:
    top = np.clip(probabilities(logits, calibration).max(axis=1), 1e-9, 1 - 1e-9)
    return np.stack([np.log(top), -np.log(1 - top)], axis=1)


def beta_map(logits: FloatArray, right: NDArray[np.bool_], temperature: Calibration) -> Calibration:
    """Fit the map by logistic regression; a slope below 0 would turn the order round: it is dropped, as there."""
    if right.all() or not right.any():
        return temperature
    features = _features(logits, temperature)
    columns = [0, 1]
    while columns:
        model = LogisticRegression(C=100.0, max_iter=1000).fit(features[:, columns], right)
        slopes = model.coef_[0]
        if (slopes >= 0).all():
            a, b = (float(slopes[columns.index(i)]) if i in columns else 0.0 for i in (0, 1))
            top = (round(a, 4), round(b, 4), round(float(model.intercept_[0]), 4))
            return Calibration(temperature=temperature.temperature, top=top)
        columns.pop(int(slopes.argmin()))
    return temperature


def _gain(saved: FloatArray, articles: NDArray[np.int64]) -> float:
    """Return the mean of the loss saved, summed by article, in its standard errors; 0 where nothing varies."""
    sums = np.bincount(np.unique(articles, return_inverse=True)[1], saved)
    error = float(sums.std() / np.sqrt(len(sums)))
    return float(sums.mean()) / error if error else 0.0


def _loss(logits: FloatArray, right: NDArray[np.bool_], calibration: Calibration) -> FloatArray:
    stated = np.clip(probabilities(logits, calibration).max(axis=1), 1e-9, 1 - 1e-9)
    losses: FloatArray = -np.where(right, np.log(stated), np.log(1 - stated))
    return losses


def facts(sample: HeldOut | None, fitted: Fitted | None) -> dict[str, Any]:
    """Return what a manifest tells of held-out pages: macro-F1, the losses compared, the review threshold, bins."""
    if sample is None or fitted is None:
        return {"calibration_segments": 0}
    stated = probabilities(sample.logits, fitted.calibration)
    ece, bins = reliability(stated.max(axis=1), stated.argmax(axis=1) == sample.truth)
    counts = confusion(sample.truth, sample.logits.argmax(axis=1), classes=sample.logits.shape[1])
    return {
        "calibration_segments": len(sample.truth),
        "held_out": {
            "macro_f1": round(float(macro_f1(counts)), 4),
            "f1": [None if np.isnan(value) else round(float(value), 4) for value in class_scores(counts).f1],
        },
        "calibration": {
            "articles": fitted.review.articles,
            "sources": 1 if sample.sources is None else len(np.unique(sample.sources)),
            "loss_temperature": round(fitted.temperature_loss, 4),
            "loss_beta": round(fitted.beta_loss, 4),
            "gains_beta": [round(gain, 2) for gain in fitted.gains],
            "ece_in_sample": round(ece, 4),
            "reliability": [[round(b.confidence, 4), round(b.accuracy, 4), b.n] for b in bins],
        },
        "review": {
            "risk": fitted.review.risk,
            "share": round(fitted.review.share, 4),
            "error": round(fitted.review.error, 4),
            "conformal": fitted.review.guaranteed,
            "assumption": "articles exchangeable with the held-out ones; the bound is on the expected share of an "
            "article's segments that are wrong and not reviewed"
            if fitted.review.guaranteed
            else f"none: {needed_articles(fitted.review.risk)} held-out articles are needed",
        },
    }
