"""How far annotators agree: with each other, with the model they were shown, over time.

A unit is a segment of the merged truth; a rater's label for it is the one that covers most of it. Cohen's kappa is
scikit-learn's, Fleiss' kappa statsmodels'. Krippendorff's alpha is written out here, from "Computing Krippendorff's
Alpha-Reliability" (Krippendorff 2011): of its packages, `krippendorff` is GPL, `simpledorff` has had no release since
2020, and that of NLTK takes one item at a time, too slow to resample. Intervals resample articles.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.alignment import align
from annotator.errors import InputError, MissingExtraError
from annotator.labelled import LabelledPage
from annotator.merging import covering, read_votes, undecided
from annotator.metrics import Estimate, FloatArray, IntArray, article_weights, interval, ratio, resample
from annotator.records import LABELS, ScoredArticle, Span

NONE = -1
MODEL = "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One measure of agreement: between whom, over how many segments of how many articles."""

    measure: str
    who: str
    estimate: Estimate
    segments: int
    articles: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """A segment to which annotators gave different labels; ``undecided`` says why no majority decides it."""

    article_id: str
    span: Span
    text: str
    label: str
    labels: Mapping[str, str]
    undecided: str | None
    task_ids: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "article_id": self.article_id,
            "start": self.span.start,
            "end": self.span.end,
            "text": self.text,
            "label": self.label,
            "labels": dict(self.labels),
            "undecided": self.undecided,
            "task_ids": list(self.task_ids),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """All measures, and the segments on which annotators differ, in the order of the pages."""

    measures: tuple[Measure, ...]
    disagreements: tuple[Disagreement, ...]

    def table(self) -> list[list[str]]:
        """Return a header and one list of cells a measure."""
        head = ["measure", "who", "value [95 %]", "segments", "articles"]
        body = [[m.measure, m.who, str(m.estimate), str(m.segments), str(m.articles)] for m in self.measures]
        return [head, *body]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""

        def number(value: float) -> float | None:
            return None if math.isnan(value) else round(value, 4)

        return {
            "measures": [
                {
                    "measure": m.measure,
                    "who": m.who,
                    "value": number(m.estimate.value),
                    "low": number(m.estimate.low),
                    "high": number(m.estimate.high),
                    "segments": m.segments,
                    "articles": m.articles,
                }
                for m in self.measures
            ],
            "disagreements": len(self.disagreements),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ratings:
    """Labels as indices: ``table`` [units, raters] (NONE: no vote), ``article`` [units], ``month`` [units].

    ``shown`` [units, raters] is 1 where the rater saw the model's prediction, 0 where not.
    """

    raters: tuple[str, ...]
    articles: int
    table: IntArray
    article: IntArray
    shown: IntArray
    month: tuple[str, ...]
    model: IntArray

    def units(self, mask: NDArray[np.bool_]) -> _Ratings:
        return _Ratings(
            raters=self.raters,
            articles=self.articles,
            table=self.table[mask],
            article=self.article[mask],
            shown=self.shown[mask],
            month=tuple(m for m, keep in zip(self.month, mask, strict=True) if keep),
            model=self.model[mask],
        )


def agreement(
    pages: Sequence[LabelledPage],
    *,
    scored: Iterable[ScoredArticle] = (),
    seed: int = 0,
    resamples: int = 1000,
) -> Agreement:
    """Measure agreement on pages that carry annotations.

    Args:
        pages: labelled pages with ``annotations``; others add nothing.
        scored: the predictions that were pushed; annotators are compared with them, on pages where they saw them and
            on pages where they did not (the difference is what the prediction pulls).
        seed: of the resampling.
        resamples: of articles.

    Raises:
        InputError: no page has an annotation.
        MissingExtraError: scikit-learn or statsmodels is not installed.
    """
    _require()
    ratings = _ratings(pages, {item.article.article_id: item for item in scored})
    if not len(ratings.table):
        raise InputError("no page has annotations: pull them with  annotator labelstudio pull")
    draw = _Resampler(seed=seed, resamples=resamples)
    measures = [*_among(ratings, draw, "everyone")]
    for label, name in enumerate(LABELS):
        one = np.where(ratings.table == NONE, NONE, (ratings.table == label).astype(np.int64))
        measures += _alpha(ratings, one, 2, draw, f"everyone, {name} or not")
    for first, second in combinations(range(len(ratings.raters)), 2):
        pair = (ratings.table[:, first] != NONE) & (ratings.table[:, second] != NONE)
        who = f"{ratings.raters[first]} and {ratings.raters[second]}"
        measures += _cohen(ratings.units(pair), ratings.table[pair, first], ratings.table[pair, second], draw, who)
    measures += _with_model(ratings, draw)
    for month in sorted(set(ratings.month) - {""}):
        inside = np.array([m == month for m in ratings.month])
        part = ratings.units(inside)
        measures += _alpha(part, part.table, len(LABELS), draw, f"everyone, {month}")
    return Agreement(measures=tuple(measures), disagreements=tuple(_disagreements(pages)))


def _require() -> None:
    try:
        import sklearn.metrics  # noqa: PLC0415 -- an extra
        import statsmodels.stats.inter_rater  # noqa: PLC0415, F401
    except ImportError as error:
        raise MissingExtraError("annotator labels agreement", "review", error.name or "statsmodels") from error
    del sklearn


def _ratings(pages: Sequence[LabelledPage], scored: Mapping[str, ScoredArticle]) -> _Ratings:
    names = sorted({str(item["annotator"]) for page in pages for item in page.annotations if item.get("segments")})
    index = {name: number for number, name in enumerate(names)}
    rows, shown, article, month, model = [], [], [], [], []
    for number, page in enumerate(pages):
        text = page.article.text
        votes = read_votes(page.annotations, text)
        if not votes:
            continue
        found = scored.get(page.article.article_id)
        fits = found is not None and found.article.text == text
        predicted = align(page.segments, found) if found is not None and fits else [None] * len(page.segments)
        for seg, guess in zip(page.segments, predicted, strict=True):
            row = np.full(len(names), NONE)
            seen = np.zeros(len(names), dtype=np.int64)
            for vote in votes:
                held = covering(seg.span, vote, text)
                if held is not None:
                    row[index[vote.annotator]] = LABELS.index(held[0].label)
                    seen[index[vote.annotator]] = vote.shown is not None
            rows.append(row)
            shown.append(seen)
            article.append(number)
            month.append(max(vote.updated_at for vote in votes)[:7])
            model.append(NONE if guess is None else LABELS.index(guess))
    return _Ratings(
        raters=tuple(names),
        articles=len(pages),
        table=np.array(rows, dtype=np.int64).reshape(len(rows), len(names)),
        shown=np.array(shown, dtype=np.int64).reshape(len(rows), len(names)),
        article=np.array(article, dtype=np.int64),
        month=tuple(month),
        model=np.array(model, dtype=np.int64),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Resampler:
    """Draws articles with replacement, among those that hold a unit of the measure."""

    seed: int
    resamples: int

    def weights(self, article: IntArray) -> tuple[FloatArray, IntArray]:
        """Return how often each article is drawn [R, N], and the number 0..N-1 of each unit's article."""
        kept, number = np.unique(article, return_inverse=True)
        return article_weights(len(kept), seed=self.seed, resamples=self.resamples), number

    def units(self, article: IntArray, measure: Callable[[IntArray], float]) -> Estimate:
        """Measure the units as they are, and under each draw; ``measure`` takes how often each unit counts."""
        weights, number = self.weights(article)
        value = measure(np.ones(len(article), dtype=np.int64))
        return interval(value, np.array([measure(row[number].astype(np.int64)) for row in weights]))


def _among(ratings: _Ratings, draw: _Resampler, who: str) -> list[Measure]:
    from statsmodels.stats.inter_rater import fleiss_kappa  # noqa: PLC0415 -- an extra

    found = _alpha(ratings, ratings.table, len(LABELS), draw, who)
    sizes = (ratings.table != NONE).sum(axis=1)
    common = Counter(int(size) for size in sizes if size > 1).most_common(1)
    if common:  # Fleiss wants the same number of raters for every unit: those with the most frequent number
        part = ratings.units(sizes == common[0][0])
        counts = np.stack([(part.table == label).sum(axis=1) for label in range(len(LABELS))], axis=1)

        def fleiss(times: IntArray) -> float:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                return float(fleiss_kappa(np.repeat(counts, times, axis=0)))

        found.append(_row("fleiss_kappa", f"{who} ({common[0][0]} a segment)", draw.units(part.article, fleiss), part))
    return found


def _row(measure: str, who: str, estimate: Estimate, part: _Ratings) -> Measure:
    articles = len(np.unique(part.article))
    return Measure(measure=measure, who=who, estimate=estimate, segments=len(part.table), articles=articles)


def alpha(coincidences: FloatArray) -> FloatArray:
    """Return Krippendorff's nominal alpha, [...], of coincidence matrices [..., K, K]; NaN where one value occurs."""
    total = coincidences.sum(axis=(-2, -1))
    margins = coincidences.sum(axis=-1)
    observed = total - np.trace(coincidences, axis1=-2, axis2=-1)
    expected = ratio(total**2 - (margins**2).sum(axis=-1), total - 1)
    with np.errstate(invalid="ignore"):
        return np.where(expected > 0, 1 - ratio(observed, expected), np.nan)


def coincidences(table: IntArray, classes: int) -> FloatArray:
    """Return what each unit adds to the coincidence matrix: [units, K, K] of labels [units, raters] (NONE: no vote).

    A unit with m votes adds 1/(m - 1) for each ordered pair of them; units with fewer than two add nothing.
    """
    counts = np.stack([(table == label).sum(axis=1) for label in range(classes)], axis=1).astype(np.float64)
    pairs = counts[:, :, None] * counts[:, None, :] - np.eye(classes) * counts[:, :, None]
    votes = counts.sum(axis=1)
    return np.where(votes > 1, 1 / np.maximum(votes - 1, 1), 0.0)[:, None, None] * pairs


def _alpha(ratings: _Ratings, table: IntArray, classes: int, draw: _Resampler, who: str) -> list[Measure]:
    paired = (table != NONE).sum(axis=1) > 1
    if not paired.any():
        return []
    part = ratings.units(paired)
    weights, number = draw.weights(part.article)
    added = np.zeros((weights.shape[1], classes, classes))
    np.add.at(added, number, coincidences(table[paired], classes))
    estimate = interval(alpha(added.sum(axis=0)), alpha(resample(weights, added)))
    return [_row("krippendorff_alpha", who, estimate, part)]


def _cohen(part: _Ratings, first: IntArray, second: IntArray, draw: _Resampler, who: str) -> list[Measure]:
    from sklearn.metrics import cohen_kappa_score  # noqa: PLC0415 -- an extra

    if not len(first):
        return []

    def kappa(times: IntArray) -> float:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # one label only: undefined, NaN
            return float(cohen_kappa_score(first, second, labels=range(len(LABELS)), sample_weight=times))

    return [_row("cohen_kappa", who, draw.units(part.article, kappa), part)]


def _with_model(ratings: _Ratings, draw: _Resampler) -> list[Measure]:
    """Compare each annotator with the model, and everyone on pages shown and blind, with the difference."""
    found: list[Measure] = []
    judged = (ratings.table != NONE) & (ratings.model != NONE)[:, None]
    samples: dict[str, tuple[float, FloatArray, int, int]] = {}
    for rater, name in enumerate(ratings.raters):
        mask = judged[:, rater]
        part = ratings.units(mask)
        found += _cohen(part, part.table[:, rater], part.model, draw, f"{name} and {MODEL}")
    for how, wanted in (("shown", 1), ("blind", 0)):
        mask = judged & (ratings.shown == wanted)
        if not mask.any():
            continue
        unit, person = np.nonzero(mask)
        same = (ratings.table[unit, person] == ratings.model[unit]).astype(np.float64)
        weights, number = draw.weights(ratings.article[unit])
        counts = np.zeros((weights.shape[1], 2))
        np.add.at(counts, number, np.stack([same, np.ones_like(same)], axis=1))
        drawn = resample(weights, counts)
        shares = ratio(drawn[:, 0], drawn[:, 1])
        samples[how] = float(same.mean()), shares, len(same), weights.shape[1]
        found.append(
            Measure(
                measure="share_as_model",
                who=f"everyone, {how}",
                estimate=interval(same.mean(), shares),
                segments=len(same),
                articles=weights.shape[1],
            )
        )
    if len(samples) == 2:
        (seen, seen_drawn, n, a), (blind, blind_drawn, m, b) = samples["shown"], samples["blind"]
        # Two sets of articles, drawn apart: the seeds are the same, so one is turned round.
        estimate = interval(seen - blind, seen_drawn - blind_drawn[::-1])
        found.append(
            Measure(measure="anchoring", who="shown minus blind", estimate=estimate, segments=n + m, articles=a + b)
        )
    return found


def _disagreements(pages: Iterable[LabelledPage]) -> list[Disagreement]:
    found = []
    for page in pages:
        text = page.article.text
        votes = read_votes(page.annotations, text)
        open_places = {item.span: item.reason for item in undecided(page)}
        tasks = sorted({int(item["task_id"]) for item in page.annotations if item.get("task_id") is not None})
        for seg in page.segments:
            labels = {v.annotator: str(held[0].label) for v in votes if (held := covering(seg.span, v, text))}
            if len(set(labels.values())) > 1 or seg.span in open_places:
                found.append(
                    Disagreement(
                        article_id=page.article.article_id,
                        span=seg.span,
                        text=seg.span.of(text),
                        label=str(seg.label),
                        labels=labels,
                        undecided=open_places.get(seg.span),
                        task_ids=tuple(tasks),
                    )
                )
    return found


def confused(disagreements: Iterable[Disagreement]) -> Counter[tuple[str, str]]:
    """Count which two labels stand against each other, most frequent first."""
    pairs: dict[tuple[str, str], int] = defaultdict(int)
    for item in disagreements:
        for first, second in combinations(sorted(set(item.labels.values())), 2):
            pairs[first, second] += 1
    return Counter(pairs)
