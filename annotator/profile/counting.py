"""Counting segments: each question sorts them into states, and counts add up over articles.

A question has a fixed row of states; the last one holds what the question is not about. A figure is the share of one
state among all but the last. What is counted of several articles is the sum of what is counted of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from annotator.profile.facts import SegmentFacts
from annotator.profile.values import VOICES
from annotator.records import SOURCE_TYPES, Label

CLAIMS = frozenset({Label.REPORTED_CLAIM, Label.ATTRIBUTED_QUOTE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of every segment: ``state`` gives the index of its state, or None where it is not asked.

    ``figures`` names the figure of each leading state that has one. ``error`` is the question under which the model's
    error is known, where that is not its own. With ``by_length`` a segment counts by its characters.
    """

    states: tuple[str, ...]
    figures: tuple[str, ...]
    state: Callable[[SegmentFacts], int | None]
    error: str | None = None
    by_length: bool = False

    @property
    def outside(self) -> int:
        """The index of the last state, which is in no share."""
        return len(self.states) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The answers to one question: sums over segments, per state, of their weights w.

    ``segments`` [K] sums 1, ``weights`` [K] w, ``squares`` [K] w squared; ``clusters`` is the sum over articles of
    the square of the weight that is not outside.
    """

    segments: tuple[int, ...]
    weights: tuple[int, ...]
    squares: tuple[int, ...]
    clusters: int

    def __add__(self, other: Counts) -> Counts:
        """Return the counts of both."""
        return Counts(
            segments=_sum(self.segments, other.segments),
            weights=_sum(self.weights, other.weights),
            squares=_sum(self.squares, other.squares),
            clusters=self.clusters + other.clusters,
        )

    @property
    def n(self) -> int:
        """How many segments the shares rest on."""
        return sum(self.segments[:-1])

    @property
    def size(self) -> float:
        """The number of equal segments that would say as much (Kish 1965), 0 where there is none."""
        square = sum(self.squares[:-1])
        return sum(self.weights[:-1]) ** 2 / square if square else 0.0

    @property
    def articles(self) -> float:
        """The number of equal articles that would say as much, 0 where there is none."""
        return sum(self.weights[:-1]) ** 2 / self.clusters if self.clusters else 0.0


def count(question: Question, segments: Iterable[SegmentFacts]) -> Counts:
    """Count the segments of one article."""
    size = len(question.states)
    numbers, weights, squares = [0] * size, [0] * size, [0] * size
    for segment in segments:
        state = question.state(segment)
        if state is None:
            continue
        weight = segment.length if question.by_length else 1
        numbers[state] += 1
        weights[state] += weight
        squares[state] += weight * weight
    return Counts(
        segments=tuple(numbers), weights=tuple(weights), squares=tuple(squares), clusters=sum(weights[:-1]) ** 2
    )


def _sum(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(one, other, strict=True))


# --- the questions ------------------------------------------------------------------------------------------------

_VOICE = {label: index for index, label in enumerate((*VOICES, Label.BOILERPLATE))}
_KIND = {kind: index for index, kind in enumerate(SOURCE_TYPES)}
_VOICE_STATES = tuple(map(str, _VOICE))


def _voice(segment: SegmentFacts) -> int:
    return _VOICE[segment.label]


def _headline(segment: SegmentFacts) -> int | None:
    return _voice(segment) if segment.role == "headline" else None


def _body(segment: SegmentFacts) -> int | None:
    return _voice(segment) if segment.role == "body" else None


def _sourced(segment: SegmentFacts) -> int:
    return (0 if segment.sourced else 1) if segment.label in CLAIMS else 2


def _kind(segment: SegmentFacts) -> int:
    return _KIND[segment.source_type] if segment.sourced and segment.source_type is not None else len(_KIND)


def _explained(segment: SegmentFacts) -> int:
    anonymous = segment.sourced and segment.source_type == "anonymous"
    return (0 if segment.explained else 1) if anonymous else 2


def _direct(segment: SegmentFacts) -> int:
    if segment.label is Label.ATTRIBUTED_QUOTE:
        return 0
    return 1 if segment.attributed else 2


def _unverified(segment: SegmentFacts) -> int:
    if segment.label not in CLAIMS or segment.unverified is None:
        return 2
    return 0 if segment.unverified else 1


def _figures(name: str) -> tuple[str, ...]:
    return tuple(f"{name}.{label}" for label in VOICES)


QUESTIONS: Mapping[str, Question] = {
    "labels": Question(states=_VOICE_STATES, figures=_figures("labels"), state=_voice),
    "characters": Question(states=_VOICE_STATES, figures=_figures("characters"), state=_voice, by_length=True),
    "headline": Question(states=_VOICE_STATES, figures=_figures("headline"), state=_headline, error="labels"),
    "body": Question(states=_VOICE_STATES, figures=_figures("body"), state=_body, error="labels"),
    "sourced": Question(states=("sourced", "unsourced", "no claim"), figures=("sourced",), state=_sourced),
    "source_types": Question(
        states=(*map(str, SOURCE_TYPES), "no source"),
        figures=tuple(f"source_types.{kind}" for kind in SOURCE_TYPES),
        state=_kind,
    ),
    "anonymous_explained": Question(
        states=("explained", "unexplained", "not anonymous"), figures=("anonymous_explained",), state=_explained
    ),
    "direct": Question(states=("direct", "indirect", "not attributed"), figures=("direct",), state=_direct),
    "unverified": Question(states=("unverified", "plain", "not judged"), figures=("unverified",), state=_unverified),
}
