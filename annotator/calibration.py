"""From logits to stated probabilities, as a manifest's calibration says, and the threshold below which people look."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from annotator.registry import Calibration

FloatArray = NDArray[np.float64]

_TINY = 1e-9
_MARGIN = 2e-4  # by which the largest stays the largest, also in records, which state four decimals


def probabilities(logits: ArrayLike, calibration: Calibration) -> FloatArray:
    """Return probabilities [n, K] of logits [n, K].

    softmax(logits / temperature) (Guo et al. 2017); then, where ``calibration.top`` is (a, b, c), the largest becomes
    sigmoid(a ln p - b ln(1 - p) + c) (beta calibration, Kull et al. 2017, of the top label) and the others share the
    rest as before. The largest stays the largest: no label changes, even when they are rounded to four decimals.
    """
    scaled = np.asarray(logits, dtype=np.float64) / calibration.temperature
    if not scaled.size:
        return scaled
    scaled -= scaled.max(axis=1, keepdims=True)
    exp = np.exp(scaled)
    stated: FloatArray = exp / exp.sum(axis=1, keepdims=True)
    if not calibration.top:
        return stated
    rows, best = np.arange(len(stated)), stated.argmax(axis=1)
    top = stated[rows, best]
    rest = np.maximum(1 - top, _TINY)
    a, b, c = calibration.top
    wanted = 1 / (1 + np.exp(-(a * np.log(top) - b * np.log(rest) + c)))
    shares = stated / rest[:, None]
    shares[rows, best] = 0.0
    second = shares.max(axis=1)
    wanted = np.clip(wanted, second / (1 + second) + np.minimum(_MARGIN, top - second * rest), 1 - _TINY)
    stated = shares * (1 - wanted)[:, None]
    stated[rows, best] = wanted
    result: FloatArray = stated / stated.sum(axis=1, keepdims=True)
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A threshold of confidence for a risk, and what it meant on the sample that it was chosen on.

    ``share`` of the segments lie below; ``error`` is the error rate among the others. ``guaranteed``: the expected
    share of a new article's segments that are wrong and not reviewed is at most ``risk`` (see :func:`review_for`).
    """

    below: float
    risk: float
    share: float
    error: float
    articles: int
    guaranteed: bool


def review_for(confidence: ArrayLike, correct: ArrayLike, articles: ArrayLike, *, risk: float) -> Review:
    """Choose the lowest threshold with which at most ``risk`` of what nobody reviews is wrong; all are [n].

    Two conditions are met. The error rate among segments at or above the threshold is at most ``risk`` on this
    sample: measured, not promised. And conformal risk control
    (Angelopoulos et al. 2022, arXiv 2208.02814, theorem 1): with L_i the share of article i's segments that are wrong
    and not reviewed, which only falls as the threshold rises and is at most 1, (sum L_i + 1) / (N + 1) <= risk; then
    E[L] <= risk for a new article, if it is exchangeable with the N articles of the sample. With N < 1/risk - 1 no
    threshold can meet that: the first condition alone decides, and ``guaranteed`` is False. A page of an unseen
    outlet, genre or time is exchangeable with the sample only as far as the sample has such pages.

    Raises:
        ValueError: no segments, or a risk that is not between 0 and 1.
    """
    stated = np.round(np.asarray(confidence, dtype=np.float64), 4)  # as records state it
    wrong = ~np.asarray(correct, dtype=bool)
    groups = np.unique(np.asarray(articles), return_inverse=True)[1]
    if not len(stated) or not 0 < risk < 1:
        raise ValueError("review_for: needs segments and a risk between 0 and 1")
    number = int(groups.max()) + 1
    sizes = np.bincount(groups, minlength=number)
    # From the most confident down; equal confidences come together.
    order = np.argsort(-stated, kind="stable")
    ordered = stated[order]
    last = np.append(ordered[1:] != ordered[:-1], True)
    passed = np.arange(1, len(ordered) + 1)
    rate = np.cumsum(wrong[order]) / passed
    loss = (np.cumsum(wrong[order] / sizes[groups[order]]) + 1) / (number + 1)
    guaranteed = 1 / (number + 1) <= risk
    fits = last & (rate <= risk)
    if guaranteed:
        fits &= loss <= risk
    good = np.flatnonzero(fits)
    if not len(good):
        return Review(below=1.0001, risk=risk, share=1.0, error=0.0, articles=number, guaranteed=guaranteed)
    at = int(good[-1])
    return Review(
        below=float(ordered[at]), risk=risk, share=1 - (at + 1) / len(ordered), error=float(rate[at]),
        articles=number, guaranteed=guaranteed,
    )  # fmt: skip


def needed_articles(risk: float) -> int:
    """Return how many articles a sample must have before conformal risk control can promise ``risk``."""
    return math.ceil(1 / risk - 1 - _TINY)
