"""Scored articles in, the whole report out, as one string of HTML."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from annotator.errors import RecordError
from annotator.profile import ErrorModel, Profile, article_facts, profile_article, profile_outlets
from annotator.records import ScoredArticle
from annotator.report import cards
from annotator.report.data import article_data, summary
from annotator.report.numbers import whole
from annotator.report.page import FEW, FEW_IN_ARTICLE, fill, inert
from annotator.report.words import Lang, words

_SCRIPTS = ("reader.js", "list.js", "report.js")


def build_report(
    articles: Iterable[ScoredArticle],
    errors: Callable[[str], ErrorModel | None],
    *,
    lang: Lang = "fr",
    title: str | None = None,
) -> str:
    """Return the report as HTML: the same articles give the same page.

    Args:
        articles: scored articles, each id once. Their profiles are made anew, so that those of articles and outlets
            rest on the same knowledge of the model's error.
        errors: the known error of a model version, None where it is not known.
        lang: language of everything but the articles.
        title: heading of the page.

    Raises:
        RecordError: an article stands there twice, or holds a value that cannot be shown.
    """
    said = words(lang)
    profiled = (_profiled(scored, errors) for scored in _each_once(articles))
    ordered = sorted(profiled, key=lambda scored: _alphabetical(scored.article.outlet))
    outlets = list(profile_outlets(map(article_facts, ordered), errors))
    index = [summary(scored) for scored in ordered]
    named = _named(sorted(outlets, key=lambda profile: (_alphabetical(profile.outlet), profile.model_version)), said)
    by_outlet = _profiles_by_outlet(ordered)
    spread = [(name, by_outlet.get((profile.outlet, profile.model_version), [])) for name, profile in named]
    versions = sorted({scored.model_version for scored in ordered})
    corrected = all(profile.error is not None for profile in outlets)
    return fill(
        "report.html",
        lang,
        *_SCRIPTS,
        rows=len(outlets),
        title=title or said["report_title"],
        start_open=True,
        totals=_totals(ordered, lang),
        models=said["models"].format(names=", ".join(versions) or "–"),
        remarks=_remarks(ordered, versions, lang),
        how_to_read=said["how_to_read"].format(few=FEW),
        by_article_how=said["by_article_how"].format(few=FEW_IN_ARTICLE),
        corrected=said["corrected" if corrected else "not_corrected"],
        groups=cards.groups(named, lang) if ordered else [],
        all_figures=cards.all_figures(named, lang),
        distributions=cards.distributions(spread, lang) if ordered else [],
        sources=cards.sources(named, lang),
        index=inert(index),
        articles=(inert(article_data(scored)) for scored in ordered),
    )


def _each_once(articles: Iterable[ScoredArticle]) -> Iterator[ScoredArticle]:
    seen: set[str] = set()
    for scored in articles:
        name = scored.article.article_id
        if name in seen:
            raise RecordError(f"article {name!r} is there twice: name each scored file once, and each article in one")
        seen.add(name)
        _check(scored)
        yield scored


def _check(scored: ScoredArticle) -> None:
    """Refuse what records made elsewhere may hold and no page can show."""
    art = scored.article
    for name in ("article_id", "outlet", "url", "title", "date"):
        value = getattr(art, name)
        if value is not None and not isinstance(value, str):
            raise RecordError(f"article {art.article_id!r}: {name} is {type(value).__name__}, not a string")
    for index, segment in enumerate(scored.segments):
        for number in (segment.confidence, *segment.probabilities.values()):
            if not isinstance(number, (int, float)) or not 0 <= number <= 1:
                raise RecordError(f"article {art.article_id!r}, segment {index}: {number!r} is no probability")


def _profiled(scored: ScoredArticle, errors: Callable[[str], ErrorModel | None]) -> ScoredArticle:
    return replace(scored, profile=profile_article(scored, errors(scored.model_version)).to_dict())


def _alphabetical(name: str | None) -> tuple[bool, str, str]:
    """Sort by letters alone, without case, accents and apostrophes; what has no name stands last."""
    bare = (c for c in unicodedata.normalize("NFD", name or "").casefold() if c.isalnum())
    return name is None, "".join(bare), name or ""


def _named(outlets: Sequence[Profile], said: dict[str, str]) -> list[tuple[str, Profile]]:
    """Give each profile the name it is shown by: the model's version joins it where an outlet has two."""
    counts: dict[str | None, int] = defaultdict(int)
    for profile in outlets:
        counts[profile.outlet] += 1
    named = []
    for profile in outlets:
        name = profile.outlet or said["no_outlet"]
        named.append((f"{name} ({profile.model_version})" if counts[profile.outlet] > 1 else name, profile))
    return named


def _profiles_by_outlet(articles: Sequence[ScoredArticle]) -> dict[tuple[str | None, str], list[Profile]]:
    found: dict[tuple[str | None, str], list[Profile]] = defaultdict(list)
    for scored in articles:
        found[scored.article.outlet, scored.model_version].append(Profile.from_dict(scored.profile or {}))
    return found


def _totals(articles: Sequence[ScoredArticle], lang: Lang) -> list[dict[str, str]]:
    segments = [segment for scored in articles for segment in scored.segments]
    numbers = {
        "outlets": len({scored.article.outlet for scored in articles} - {None}),
        "articles": len(articles),
        "segments": len(segments),
        "review": sum(segment.needs_review for segment in segments),
    }
    return [{"n": whole(number, lang), "name": words(lang)[f"total_{name}"]} for name, number in numbers.items()]


def _remarks(articles: Sequence[ScoredArticle], versions: Sequence[str], lang: Lang) -> list[Any]:
    said = words(lang)
    warned = sum(bool(scored.article.warnings) for scored in articles)
    remarks = [said["several_models"]] if len(versions) > 1 else []
    return [*remarks, *([said["with_warnings"].format(n=whole(warned, lang))] if warned else [])]
