"""Two models against each other on the same labelled pages, by a paired bootstrap over articles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from annotator import metrics
from annotator.alignment import INDEX
from annotator.errors import InputError
from annotator.evaluation import Boundaries, Evaluation, PageOutcome, plain
from annotator.metrics import MISSED
from annotator.records import LABELS, Label

if TYPE_CHECKING:
    from annotator.metrics import Estimate, IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A gold segment, by its index in its page, to which two models give different labels; no text."""

    article_id: str
    segment: int
    gold: Label
    a: Label | None
    b: Label | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How much better ``b`` is than ``a`` (b - a, paired), overall and in the F1 of each label."""

    a: str
    b: str
    macro_f1: Estimate
    labels: Mapping[Label, Estimate]
    flips: tuple[Flip, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, rounded to six decimals, null where undefined."""
        record: dict[str, Any] = plain(self)
        return record


def compare(
    a: Evaluation, b: Evaluation, *, boundaries: Boundaries = "own", seed: int = 0, resamples: int = 1000
) -> Comparison:
    """Compare two models on the same pages by a paired bootstrap: each resample draws the same articles for both.

    See Koehn 2004, "Statistical significance tests for machine translation evaluation". Pages on which a model broke
    down count as they do in its own scores.

    Raises:
        InputError: the two were not evaluated on the same labelled pages, or ``resamples`` is less than 1.
    """
    if a.data != b.data:
        raise InputError(
            f"compare: data {a.data[:12]} and {b.data[:12]} differ: evaluate both models on the same pages"
        )
    left, right = (one.own.pages if boundaries == "own" else one.gold.pages for one in (a, b))
    return compare_pages(left, right, names=(a.model_version, b.model_version), seed=seed, resamples=resamples)


def compare_pages(
    left: Sequence[PageOutcome],
    right: Sequence[PageOutcome],
    *,
    names: tuple[str, str],
    seed: int = 0,
    resamples: int = 1000,
) -> Comparison:
    """Compare what two models, called ``names``, gave for the same pages in the same order: see :func:`compare`.

    Raises:
        InputError: the pages or their true labels differ, there are none, or ``resamples`` is less than 1.
    """
    if resamples < 1:
        raise InputError(f"compare: {resamples} resamples: use 1 or more")
    if not left or [(p.article_id, p.gold) for p in left] != [(p.article_id, p.gold) for p in right]:
        raise InputError(f"compare: {names[0]} and {names[1]} were not scored on the same pages: evaluate both again")
    weights = metrics.article_weights(len(left), seed=seed, resamples=resamples)
    first, second = (np.stack([_page_confusion(page) for page in side]) for side in (left, right))
    drawn, drawn_too = metrics.resample(weights, first), metrics.resample(weights, second)
    total, total_too = first.sum(axis=0), second.sum(axis=0)
    f1 = metrics.class_scores(total_too).f1 - metrics.class_scores(total).f1
    f1_drawn = metrics.class_scores(drawn_too).f1 - metrics.class_scores(drawn).f1
    return Comparison(
        a=names[0],
        b=names[1],
        macro_f1=metrics.interval(
            metrics.macro_f1(total_too) - metrics.macro_f1(total),
            metrics.macro_f1(drawn_too) - metrics.macro_f1(drawn),
        ),
        labels={label: metrics.interval(f1[i], f1_drawn[:, i]) for label, i in INDEX.items()},
        flips=tuple(
            Flip(article_id=one.article_id, segment=index, gold=gold, a=old, b=new)
            for one, other in zip(left, right, strict=True)
            for index, (gold, old, new) in enumerate(zip(one.gold, one.predicted, other.predicted, strict=True))
            if old != new
        ),
    )


def _page_confusion(page: PageOutcome) -> IntArray:
    gold = [INDEX[label] for label in page.gold]
    predicted = [MISSED if label is None else INDEX[label] for label in page.predicted]
    return metrics.confusion(gold, predicted, classes=len(LABELS))
