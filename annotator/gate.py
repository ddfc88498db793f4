"""The gate: a new model replaces the one in use only when it is not worse on frozen pages of unseen outlets.

Two questions are asked. Champion against challenger, paired, on all gate pages together (more pages, a tighter
interval): is the challenger worse, overall or in a label? And against the floors of ``gate.json``, on each set by
itself: has the sum of many small losses become a large one?
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from annotator.classifier import SegmentClassifier
from annotator.comparison import Comparison, compare_pages
from annotator.dataset import LabelledPage
from annotator.errors import InputError
from annotator.evaluation import Evaluation, PageOutcome, evaluate
from annotator.gatefile import GateFile, GateSet, Limits, SetResult
from annotator.metrics import Estimate
from annotator.pipeline import score
from annotator.records import LABELS, Label
from annotator.registry import FAST_FILES

logger = logging.getLogger(__name__)

WORST = 10
TIME = "time against the champion's"
SPEED_PAGES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One test: what was found, what is asked, on which pages; ``found`` is NaN where nothing could be measured."""

    name: str
    pages: str
    passed: bool
    found: float
    asked: str

    def __str__(self) -> str:
        """Return one line."""
        mark = "ok     " if self.passed else "REFUSED"
        found = "-" if math.isnan(self.found) else f"{self.found:{'+' if 'difference' in self.name else ''}.4f}"
        return f"{mark}  {self.name} on {self.pages}: {found}, asked {self.asked}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Worst:
    """A gold segment that the champion had right and the challenger has wrong; ``text`` only of pages of labels/."""

    pages: str
    article_id: str
    start: int
    end: int
    gold: Label
    predicted: Label | None
    confidence: float
    text: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the gate says of a challenger; ``difference`` is NaN without a champion."""

    challenger: str
    champion: str | None
    passed: bool
    difference: Estimate
    checks: tuple[Check, ...]
    worst: tuple[Worst, ...]
    flipped: int
    not_judged: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        record: dict[str, Any] = json.loads(json.dumps(asdict(self)).replace("NaN", "null"))
        return record

    def lines(self) -> list[str]:
        """Return what people read: each test, then, of a refusal, the worst segments."""
        found = [str(check) for check in self.checks]
        found += [
            f"not judged on {name}: pinned, but its pages were not given (--gate-data)" for name in self.not_judged
        ]
        for item in () if self.passed else self.worst:
            shown = "" if item.text is None else f"  {item.text[:80]!r}"
            found.append(
                f"worst    {item.pages} {item.article_id} [{item.start}, {item.end}) {item.gold} called "
                f"{item.predicted or 'nothing'} ({item.confidence:.2f}){shown}"
            )
        return [*found, f"{self.challenger} {'passes' if self.passed else 'is refused'}"]


# --- measuring and judging -----------------------------------------------------------------------------------------


def measure(
    classifier: SegmentClassifier, sets: Sequence[GateSet], *, seed: int = 0, resamples: int = 1000
) -> dict[str, Evaluation]:
    """Evaluate a model on each set; one set after the other, so that a page never meets those of another set."""
    return {
        one.name: evaluate(
            one.pages, lambda article, spans: score(article, classifier, spans=spans), seed=seed, resamples=resamples
        )
        for one in sets
    }


def megabytes(folder: Path) -> float:
    """Return the size of a model's graphs and tokenizer, in 10^6 bytes; the fast graph counts where there is one."""
    return sum((folder / name).stat().st_size for name in FAST_FILES if (folder / name).is_file()) / 1e6


def slowness(
    challenger: SegmentClassifier, champion: SegmentClassifier, pages: Sequence[LabelledPage], *, rounds: int = 3
) -> float:
    """Return the challenger's time over the champion's on a few pages; the best of ``rounds`` each, taken in turns.

    The best time of a page is what a machine does when nothing else runs; taking turns spreads what does.
    """
    chosen = pages[:: max(1, len(pages) // SPEED_PAGES)][:SPEED_PAGES]
    best = {id(challenger): 0.0, id(champion): 0.0}
    for page in chosen:
        times: dict[int, list[float]] = {key: [] for key in best}
        for _ in range(rounds):
            for model in (champion, challenger):
                start = time.perf_counter()
                score(page.article, model)
                times[id(model)].append(time.perf_counter() - start)
        for key, found in times.items():
            best[key] += min(found)
    return best[id(challenger)] / best[id(champion)]


def judge(
    gate: GateFile,
    sets: Sequence[GateSet],
    challenger: Mapping[str, SetResult],
    champion: Mapping[str, SetResult] | None,
    *,
    size: float,
    slower: float | None,
    seed: int = 0,
    resamples: int = 2000,
) -> Verdict:
    """Hold a challenger against the champion (None: there is none yet) and the floors.

    ``size`` is in megabytes, ``slower`` the challenger's time over the champion's.

    Raises:
        InputError: no set, or results of other pages than those of the sets.
    """
    if not sets:
        raise InputError("gate: no pages to judge on: pin them with --update")
    for results in (challenger, champion or {}):
        for one in sets:
            if results and (one.name not in results or results[one.name].digest != one.digest):
                raise InputError(f"gate: {one.name} was not evaluated on the pages given: evaluate again")
    limits = gate.limits
    checks = [check for one in sets for check in _floors(gate, one, challenger[one.name])]
    checks.append(_check("megabytes", "graph and tokenizer", size, limits.megabytes, most=True))
    difference = Estimate(value=math.nan, low=math.nan, high=math.nan)
    flipped = 0
    first = next(iter(challenger.values())).version
    if champion is not None:
        names = (next(iter(champion.values())).version, first)
        left, right = (_pooled(results, sets) for results in (champion, challenger))
        found = compare_pages(left, right, names=names, seed=seed, resamples=resamples)
        difference, flipped = found.macro_f1, len(found.flips)
        checks += _differences(found, right, limits, " + ".join(one.name for one in sets))
        if slower is not None:
            checks.append(_check(TIME, "a few pages", slower, limits.slower, most=True))
    worst = [
        item
        for one in sets
        for item in _lost(one, None if champion is None else champion[one.name], challenger[one.name])
    ]
    worst.sort(key=lambda item: (-item.confidence, item.article_id, item.start))
    return Verdict(
        challenger=first,
        champion=None if champion is None else next(iter(champion.values())).version,
        passed=all(check.passed for check in checks),
        difference=difference,
        checks=tuple(checks),
        worst=tuple(worst[:WORST]),
        flipped=flipped,
        not_judged=tuple(sorted(set(gate.sets) - {one.name for one in sets})),
    )


def _check(name: str, pages: str, found: float, asked: float, *, most: bool = False, strict: bool = False) -> Check:
    if math.isnan(found):
        passed = False
    elif most:
        passed = found <= asked
    else:
        passed = found > asked if strict else found >= asked
    sign = "<=" if most else ">" if strict else ">="
    return Check(name=name, pages=pages, passed=passed, found=found, asked=f"{sign} {asked:g}")


def _floors(gate: GateFile, one: GateSet, result: SetResult) -> list[Check]:
    pin = gate.sets.get(one.name)
    checks = [_check("pages that failed", one.name, float(len(result.failed)), 0.0, most=True)]
    if pin is None:
        return checks
    checks.append(_check("macro-F1 floor", one.name, result.macro_f1.value, pin.macro_f1))
    checks += [
        _check(f"F1 {label} floor", one.name, result.labels[Label(label)][0], floor)
        for label, floor in pin.labels.items()
    ]
    checks.append(_check("calibration error", one.name, result.ece, max(pin.ece, gate.limits.ece), most=True))
    return checks


def _differences(found: Comparison, pages: Sequence[PageOutcome], limits: Limits, where: str) -> list[Check]:
    counts = {label: sum(page.gold.count(label) for page in pages) for label in LABELS}
    checks = [
        _check("macro-F1 difference", where, found.macro_f1.value, limits.point),
        _check("macro-F1 difference, lower end", where, found.macro_f1.low, limits.low, strict=True),
    ]
    checks += [
        _check(f"F1 {label} difference (n={counts[label]})", where, estimate.value, limits.label)
        for label, estimate in found.labels.items()
        if counts[label] >= limits.label_n
    ]
    return checks


def _pooled(results: Mapping[str, SetResult], sets: Sequence[GateSet]) -> list[PageOutcome]:
    return [
        replace(page, article_id=f"{one.name}:{page.article_id}") for one in sets for page in results[one.name].outcomes
    ]


def _lost(one: GateSet, champion: SetResult | None, challenger: SetResult) -> list[Worst]:
    pages = {page.article.article_id: page for page in one.pages}
    before = None if champion is None else {page.article_id: page for page in champion.outcomes}
    lost = []
    for outcome in challenger.outcomes:
        page = pages[outcome.article_id]
        old = outcome.gold if before is None else before[outcome.article_id].predicted
        for segment, was, now, confidence in zip(
            page.segments, old, outcome.predicted, outcome.confidence, strict=True
        ):
            if was == segment.label != now:
                lost.append(
                    Worst(
                        pages=one.name,
                        article_id=outcome.article_id,
                        start=segment.span.start,
                        end=segment.span.end,
                        gold=segment.label,
                        predicted=now,
                        confidence=1.0 if math.isnan(confidence) else confidence,
                        text=segment.span.of(page.article.text) if one.open_text else None,
                    )
                )
    return lost
