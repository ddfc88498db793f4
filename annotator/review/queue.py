"""Which pages people should review next: what is uncertain, from many outlets and genres, and some at random.

The gain of a page is the summed entropy of its segments (pool-based uncertainty sampling: Lewis and Gale 1994; summed,
since a page is reviewed whole), divided by one more than the pages of its outlet that come before it, and by the root
of the same for its genre. A share of the places goes to pages drawn at random: they keep the labelled set from holding
hard pages alone, and are the ones to measure on.
"""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from annotator.errors import InputError
from annotator.records import ScoredArticle
from annotator.splits import outlet_families


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A page that may be reviewed; ``uncertainty`` in nats, summed over its segments."""

    article_id: str
    outlet: str | None
    genre: str | None
    uncertainty: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A page's place in the queue (0 is next), and what put it there."""

    position: int
    article_id: str
    outlet: str | None
    genre: str | None
    uncertainty: float
    why: Literal["uncertain", "random"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRules:
    """How the queue is made: the share of places for random pages, and the seed of that choice."""

    random_share: float = 0.1
    seed: int = 0


def uncertainty(scored: ScoredArticle) -> float:
    """Return the summed entropy of the segments' probabilities, in nats."""
    if not scored.segments:
        return 0.0
    stated = np.array([list(seg.probabilities.values()) for seg in scored.segments], dtype=np.float64)
    return entropy(stated)


def entropy(probabilities: np.typing.NDArray[np.float64]) -> float:
    """Return the summed entropy of rows of probabilities [n, K], in nats."""
    logs = np.log(np.where(probabilities > 0, probabilities, 1.0))
    return float(-(probabilities * logs).sum())


def read_genres(paths: Iterable[Path]) -> dict[str, str]:
    """Return genre by article_id, of JSON Lines such as the input that was scored; a line without a genre is passed.

    Raises:
        InputError: a file cannot be read, a line is no JSON object with an article_id (or id, doc_id), its genre is no
            text, or no line has one; names the line.
    """
    found: dict[str, str] = {}
    for path in paths:
        before = len(found)
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read ({error}): genres are JSON Lines in UTF-8") from error
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                item = json.loads(line)
                name = next(str(item[key]) for key in ("article_id", "id", "doc_id") if key in item)
                genre = item.get("genre")
            except (ValueError, TypeError, AttributeError, StopIteration) as error:
                raise InputError(f"{path}: line {number}: needs a JSON object with article_id and genre") from error
            if genre is not None and not isinstance(genre, str):
                raise InputError(f"{path}: line {number}: genre {genre!r}: write it as text")
            if genre:
                found[name] = genre
        if len(found) == before:
            raise InputError(f"{path}: no genre in any line: needs article_id and genre")
    return found


def candidates(scored: Iterable[ScoredArticle], genres: Mapping[str, str | None] | None = None) -> list[Candidate]:
    """Return one candidate a scored article; ``genres`` by article_id, where they are known."""
    known = genres or {}
    return [
        Candidate(
            article_id=item.article.article_id,
            outlet=item.article.outlet,
            genre=known.get(item.article.article_id),
            uncertainty=uncertainty(item),
        )
        for item in scored
    ]


def queue(
    pages: Sequence[Candidate], *, done: Iterable[Candidate] = (), rules: QueueRules | None = None
) -> list[Place]:
    """Order pages for review; the same set of pages gives the same order.

    Args:
        pages: to order.
        done: pages that are labelled already: their outlets and genres count as seen.
        rules: share of random pages and seed.

    Raises:
        InputError: the share is not in 0..1, or an article_id comes twice.
    """
    how = rules or QueueRules()
    if not 0 <= how.random_share <= 1:
        raise InputError(f"random share {how.random_share}: use a number from 0 to 1")
    left = {page.article_id: page for page in sorted(pages, key=lambda page: page.article_id)}
    if len(left) != len(pages):
        raise InputError(f"{len(pages) - len(left)} pages come twice in the queue: give each article once")
    before = list(done)
    families = outlet_families(page.outlet for page in (*pages, *before))
    outlets = Counter(families[page.outlet] for page in before)
    genres = Counter(page.genre for page in before)
    rng = random.Random(how.seed)

    def gain(page: Candidate) -> float:
        # A genre that nobody stated says nothing of how much it has been seen.
        seen = genres[page.genre] if page.genre is not None else 0
        return page.uncertainty / ((1 + outlets[families[page.outlet]]) * math.sqrt(1 + seen))

    places: list[Place] = []
    while left:
        drawn = rng.random() < how.random_share
        chosen = rng.choice(list(left.values())) if drawn else max(left.values(), key=gain)
        del left[chosen.article_id]
        outlets[families[chosen.outlet]] += 1
        genres[chosen.genre] += 1
        places.append(
            Place(
                position=len(places),
                article_id=chosen.article_id,
                outlet=chosen.outlet,
                genre=chosen.genre,
                uncertainty=chosen.uncertainty,
                why="random" if drawn else "uncertain",
            )
        )
    return places
