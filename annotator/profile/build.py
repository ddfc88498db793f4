"""From facts to profiles: what is counted of articles adds up to what is counted of an outlet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from annotator.profile.counting import QUESTIONS, Counts, count
from annotator.profile.error import ErrorModel, distinct_figure, share_figures, top_figure
from annotator.profile.facts import ArticleFacts, article_facts, record_facts
from annotator.profile.sources import Sources, article_sources
from annotator.profile.values import SIGNALS, Figure, Profile, Scope
from annotator.records import ScoredArticle
from annotator.storage import read_records


@dataclass(slots=True)
class Tally:
    """What is counted of one article or several; the order in which they are added changes nothing."""

    articles: int = 0
    counts: dict[str, Counts] = field(default_factory=dict)
    sources: Sources = field(default_factory=Sources)

    def add(self, other: Tally) -> None:
        """Add the counts of another article, or of several."""
        self.articles += other.articles
        for name, counts in other.counts.items():
            self.counts[name] = self.counts[name] + counts if name in self.counts else counts
        self.sources.add(other.sources)


def tally(facts: ArticleFacts) -> Tally:
    """Count one article."""
    return Tally(
        articles=1,
        counts={name: count(question, facts.segments) for name, question in QUESTIONS.items()},
        sources=article_sources(facts),
    )


def profile_article(scored: ScoredArticle, error: ErrorModel | None) -> Profile:
    """Return the profile of one scored article; without ``error`` its figures are not corrected."""
    return profile_facts(article_facts(scored), error)


def profile_facts(facts: ArticleFacts, error: ErrorModel | None) -> Profile:
    """Return the profile of one article from its facts."""
    return _profile("article", facts, tally(facts), error)


def profile_files(
    paths: Iterable[str | Path], error_of: Callable[[str], ErrorModel | None], *, by: Scope
) -> Iterator[Profile]:
    """Read scored records, lean or not, and return a profile for each article, or each outlet.

    ``error_of`` gives the error of a model version, or None (:func:`annotator.profile.error.errors_in`).

    Raises:
        InputError: a file that cannot be read.
        RecordError: a record that breaks the schema; ``path:line`` opens the message.
    """
    articles = (record_facts(record, where=where) for where, record in read_records(paths))
    if by == "article":
        return (profile_facts(facts, error_of(facts.model_version)) for facts in articles)
    return profile_outlets(articles, error_of)


def profile_outlets(
    articles: Iterable[ArticleFacts], error_of: Callable[[str], ErrorModel | None]
) -> Iterator[Profile]:
    """Return the profiles of outlets, by name and model version, from their articles in any order.

    An outlet is its name, letter by letter; articles without one are counted together, last. What is kept of an
    article is its counts and the names of its sources, so that any number of them can be added.
    """
    tallies: dict[tuple[bool, str, str], tuple[ArticleFacts, Tally]] = {}
    for facts in articles:
        key = (facts.outlet is None, facts.outlet or "", facts.model_version)
        if key in tallies:
            tallies[key][1].add(tally(facts))
        else:
            tallies[key] = facts, tally(facts)
    for _, (facts, total) in sorted(tallies.items(), key=lambda item: item[0]):
        yield _profile("outlet", facts, total, error_of(facts.model_version))


def _profile(scope: Scope, facts: ArticleFacts, total: Tally, error: ErrorModel | None) -> Profile:
    found: dict[str, Figure] = {}
    for name, counts in total.counts.items():
        found |= share_figures(name, counts, error)
    distinct = total.sources.merged()
    quoted = [source.n for source in distinct]
    found["distinct_sources"] = distinct_figure(len(distinct), sum(quoted), error)
    articles = total.counts["source_types"].articles or 1.0
    found["top_source"] = top_figure(max(quoted, default=0), sum(quoted), articles, error)
    voices = total.counts["labels"]
    return Profile(
        scope=scope,
        article_id=facts.article_id if scope == "article" else None,
        outlet=facts.outlet,
        model_version=facts.model_version,
        error=None if error is None else error.data,
        articles=total.articles,
        segments=voices.n,
        boilerplate=voices.segments[-1],
        characters=sum(total.counts["characters"].weights[:-1]),
        figures={name: found[name] for name in SIGNALS},
        sources=total.sources.top(),
        pronouns=total.sources.pronouns,
    )
