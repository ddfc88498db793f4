"""Measuring a model's error for profiles, on pages with both its labels and people's (docs/profile.md, "Method")."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.profile.build import Tally, tally
from annotator.profile.counting import QUESTIONS, Question
from annotator.profile.error import CountError, ErrorModel, ShareError, Spread, deviation
from annotator.profile.facts import ArticleFacts, SegmentFacts

FloatArray = NDArray[np.float64]

LEAST_PAGES = 10
LEAST_OUTLETS = 5
LEAST_GOLD = 5
_MOST_WEIGHT = 100  # an outlet of more segments counts no more than this in the tuning
_FLOOR = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePage:
    """A page as people labelled it and as the model did.

    ``truth`` has, for each segment of ``said``, the facts of the segment of ``gold`` that covers most of it, or None.
    """

    outlet: str
    gold: ArticleFacts
    said: ArticleFacts
    truth: tuple[SegmentFacts | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unit:
    """An article or an outlet: both tallies, and per question how true states were labelled."""

    outlet: str
    gold: Tally
    said: Tally
    matrices: Mapping[str, NDArray[np.int64]]


def measure_error(pages: Sequence[GatePage], *, data: str) -> ErrorModel:
    """Measure the error on each question that at least 10 pages of 5 outlets answer, and 5 gold segments with yes.

    ``data`` is the digest of the pages. Everything that is tuned or judged is so on outlets left out: what an outlet's
    figures are corrected with was counted on the others. The order of the pages changes nothing.
    """
    articles = [_unit(page) for page in sorted(pages, key=lambda page: page.gold.article_id)]
    groups: defaultdict[str, list[_Unit]] = defaultdict(list)
    for unit in articles:
        groups[unit.outlet].append(unit)
    outlets = [_joined(members) for _, members in sorted(groups.items())]
    found = {name: _share_error(name, articles, outlets) for name, asked in QUESTIONS.items() if asked.error is None}
    return ErrorModel(
        pages=len(articles),
        outlets=len(outlets),
        data=data,
        shares={name: error for name, error in found.items() if error is not None},
        distinct=_count_error(articles, outlets),
        top=_top_error(articles, outlets),
    )


def _unit(page: GatePage) -> _Unit:
    return _Unit(
        outlet=page.outlet,
        gold=tally(page.gold),
        said=tally(page.said),
        matrices={
            name: _matrix(asked, page.said.segments, page.truth)
            for name, asked in QUESTIONS.items()
            if asked.error is None
        },
    )


def _matrix(asked: Question, said: Sequence[SegmentFacts], truth: Sequence[SegmentFacts | None]) -> NDArray[np.int64]:
    size = len(asked.states)
    matrix = np.zeros((size, size), dtype=np.int64)
    for one, other in zip(said, truth, strict=True):
        column = asked.state(one)
        row = None if other is None else asked.state(other)
        if row is not None and column is not None:
            matrix[row, column] += one.length if asked.by_length else 1
    return matrix


def _joined(members: Sequence[_Unit]) -> _Unit:
    gold, said = Tally(), Tally()
    for unit in members:
        gold.add(unit.gold)
        said.add(unit.said)
    names = members[0].matrices
    total = {name: np.sum([unit.matrices[name] for unit in members], axis=0) for name in names}
    return _Unit(outlet=members[0].outlet, gold=gold, said=said, matrices=total)


# --- shares -------------------------------------------------------------------------------------------------------


def _share_error(name: str, articles: Sequence[_Unit], outlets: Sequence[_Unit]) -> ShareError | None:
    asked = QUESTIONS[name]
    judged = [unit for unit in articles if unit.gold.counts[name].n and unit.said.counts[name].n]
    yes = sum(unit.gold.counts[name].segments[0] for unit in articles)
    if len(judged) < LEAST_PAGES or len({unit.outlet for unit in judged}) < LEAST_OUTLETS or yes < LEAST_GOLD:
        return None
    inside = {unit.outlet for unit in judged}
    total = np.sum([unit.matrices[name] for unit in outlets if unit.outlet in inside], axis=0)
    others = {unit.outlet: total - unit.matrices[name] for unit in outlets if unit.outlet in inside}
    plain = Spread(segment=1.0, article=0.0, outlet=0.0, z=1.0)

    def error(matrix: NDArray[np.int64], tuning: float, spread: Spread = plain) -> ShareError:
        return ShareError(counts=tuple(map(tuple, matrix.tolist())), tuning=tuning, spread=spread)

    def shares(weights: Sequence[float]) -> FloatArray:
        column = np.asarray(weights[:-1], dtype=np.float64)
        total = column.sum()
        return column / total if total else np.zeros_like(column)

    steps: list[tuple[float, FloatArray, FloatArray]] = []
    for unit in outlets:
        said, gold = unit.said.counts[name], unit.gold.counts[name]
        if unit.outlet in inside and said.n and gold.n:
            seen = shares(said.weights)
            step = shares(error(others[unit.outlet], 1.0).correct(said.weights)) - seen
            steps.append((min(said.size, _MOST_WEIGHT), step, shares(gold.weights) - seen))
    tuning = _tuning(steps)

    size = len(asked.figures)
    rows: list[tuple[float, float, float, float]] = []
    for unit in _units(articles, outlets):
        said, gold = unit.said.counts[name], unit.gold.counts[name]
        if unit.outlet not in inside or not said.n or not gold.n:
            continue
        guess = shares(error(others[unit.outlet], tuning).correct(said.weights))
        truth = shares(gold.weights)
        rows += [(guess[k], truth[k], said.size, said.articles) for k in range(size)]
    return error(total, tuning, _spread(np.asarray(rows)))


def _tuning(steps: Sequence[tuple[float, FloatArray, FloatArray]]) -> float:
    """Return how much of the correction to make, from outlets' weights, corrections and errors without correction.

    The least-squares factor (as the power tuning of Angelopoulos, Duchi and Zrnic 2023), less one standard error,
    which counts outlets and not segments: a correction is made as far as the pages vouch for it.
    """
    square = sum(weight * float(step @ step) for weight, step, _ in steps)
    if not square:
        return 0.0
    best = sum(weight * float(step @ gap) for weight, step, gap in steps) / square
    scatter = sum((weight * float(step @ (gap - best * step))) ** 2 for weight, step, gap in steps)
    return round(min(1.0, max(0.0, best - math.sqrt(scatter) / square)), 4)


def _units(articles: Sequence[_Unit], outlets: Sequence[_Unit]) -> list[_Unit]:
    """Return what errors are judged on: every article, and every outlet of two or more."""
    return [*articles, *(unit for unit in outlets if unit.said.articles > 1)]


def _spread(rows: FloatArray) -> Spread:
    """Fit a spread to rows of guess, truth, segments, articles.

    The three parts maximise the normal likelihood of the errors; z is then the finite-sample 95 % quantile of the
    errors over their standard errors, as in split conformal prediction (Lei et al. 2018).
    """
    guess, truth, n, articles = rows.T
    padded = (n * guess + 2) / (n + 4)
    squares = (truth - guess) ** 2 / (padded * (1 - padded))

    def loss(parts: tuple[float, ...]) -> float:
        variance = parts[0] / n + parts[1] / articles + parts[2]
        return float((np.log(variance) + squares / variance).sum())

    segment, article, outlet = (round(part, 6) for part in _least(loss, 3))
    spread = Spread(segment=segment, article=article, outlet=outlet, z=1.0)
    ratios = [
        abs(there - here) / deviation(here, spread.size(size, number)) for here, there, size, number in rows.tolist()
    ]
    return Spread(segment=segment, article=article, outlet=outlet, z=_quantile(ratios))


def _least(loss: object, parts: int) -> tuple[float, ...]:
    """Return positive parts of a variance with the least loss: a grid over their logarithms, refined six times."""
    assert callable(loss)
    centre, reach = (math.log(0.05),) * parts, 4.5
    for _ in range(7):
        steps = [[middle + reach * step / 3 for step in range(-3, 4)] for middle in centre]
        centre = min(itertools.product(*steps), key=lambda point: loss(tuple(math.exp(x) for x in point)))
        reach /= 2.2
    return tuple(max(_FLOOR, math.exp(x)) for x in centre)


def _quantile(ratios: Sequence[float]) -> float:
    ordered = sorted(ratios)
    rank = math.ceil(0.95 * (len(ordered) + 1))
    return round(ordered[min(rank, len(ordered)) - 1], 4)


# --- sources ------------------------------------------------------------------------------------------------------


def _count_error(articles: Sequence[_Unit], outlets: Sequence[_Unit]) -> CountError | None:
    pairs = [(len(unit.gold.sources.merged()), len(unit.said.sources.merged())) for unit in articles]
    if sum(1 for gold, said in pairs if gold and said) < LEAST_PAGES or len(outlets) < LEAST_OUTLETS:
        return None
    factor = round(sum(gold for gold, _ in pairs) / sum(said for _, said in pairs), 4)
    units = _units(articles, outlets)
    gold = np.array([len(unit.gold.sources.merged()) for unit in units], dtype=np.float64)
    said = np.array([len(unit.said.sources.merged()) for unit in units], dtype=np.float64)
    value = np.maximum(0.0, (said + 0.5) * factor - 0.5)
    errors = np.log((gold + 0.5) / (value + 0.5))

    def loss(parts: tuple[float, ...]) -> float:
        variance = parts[0] / (said + 1) + parts[1]
        return float((np.log(variance) + errors**2 / variance).sum())

    source, unit_part = (round(part, 6) for part in _least(loss, 2))
    ratios = np.abs(errors) / np.sqrt(source / (said + 1) + unit_part)
    return CountError(factor=factor, source=source, unit=unit_part, z=_quantile(ratios.tolist()))


def _top_error(articles: Sequence[_Unit], outlets: Sequence[_Unit]) -> Spread | None:
    rows = []
    for unit in _units(articles, outlets):
        gold, said = ([one.n for one in side.sources.merged()] for side in (unit.gold, unit.said))
        if gold and said:
            clusters = unit.said.counts["source_types"].articles or 1.0
            rows.append((max(said) / sum(said), max(gold) / sum(gold), float(sum(said)), clusters))
    if len(rows) < LEAST_PAGES or len(outlets) < LEAST_OUTLETS:
        return None
    return _spread(np.asarray(rows))
