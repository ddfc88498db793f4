"""The values of a profile and their JSON form (docs/profile.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from annotator.errors import RecordError
from annotator.records import SOURCE_TYPES, Label, SourceType

Scope = Literal["article", "outlet"]

PROFILE_FORMAT = 1
LEVEL = 0.95
VOICES = (Label.REPORTED_CLAIM, Label.ATTRIBUTED_QUOTE, Label.EDITORIAL_FRAMING)

# Every profile has every one of these, in this order. Shares, but for distinct_sources, which is a number.
SIGNALS: tuple[str, ...] = (
    *(f"labels.{label}" for label in VOICES),
    *(f"characters.{label}" for label in VOICES),
    *(f"headline.{label}" for label in VOICES),
    *(f"body.{label}" for label in VOICES),
    "sourced",
    *(f"source_types.{kind}" for kind in SOURCE_TYPES),
    "anonymous_explained",
    "direct",
    "unverified",
    "distinct_sources",
    "top_source",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure: the estimate with the ends of its 95 % interval, and what it rests on.

    ``n`` counts what the figure is a share of, as the model sees it (segments, claims, attributions);
    ``observed`` is the figure as the model's labels give it, ``value`` the one corrected for the model's known
    error. Without correction (``corrected`` False) the two are the same. All of them are None where ``n`` is 0, but for
    ``distinct_sources``, which is then 0; that one has no interval where it is not corrected.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    observed: float | None
    corrected: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "n": self.n,
            "observed": self.observed,
            "corrected": self.corrected,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCount:
    """A source by the fullest form of its name, its kind, and how many attributed claims it is the source of."""

    name: str
    source_type: SourceType | None
    n: int

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"name": self.name, "source_type": self.source_type, "n": self.n}


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The signals of one article, or of one outlet from its articles.

    ``segments`` counts those that are not boilerplate, ``boilerplate`` the others, ``characters`` those of
    ``segments``. ``figures`` holds every name of SIGNALS. ``sources`` lists the most quoted, most first;
    ``pronouns`` counts attributions to a pronoun for which nobody was found: they count as sourced, but in no
    count of sources. ``error`` is the digest of the gate pages on which the model's error was measured, None where it
    is not known and nothing is corrected. ``article_id`` is None for an outlet.
    """

    scope: Scope
    article_id: str | None
    outlet: str | None
    model_version: str
    error: str | None
    articles: int
    segments: int
    boilerplate: int
    characters: int
    figures: Mapping[str, Figure]
    sources: tuple[SourceCount, ...]
    pronouns: int

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: numbers are rounded to four decimals already."""
        return {
            "format": PROFILE_FORMAT,
            "scope": self.scope,
            "article_id": self.article_id,
            "outlet": self.outlet,
            "model_version": self.model_version,
            "level": LEVEL,
            "corrected": self.error is not None,
            "error": self.error,
            "articles": self.articles,
            "segments": self.segments,
            "boilerplate": self.boilerplate,
            "characters": self.characters,
            "figures": {name: self.figures[name].to_dict() for name in SIGNALS},
            "sources": [source.to_dict() for source in self.sources],
            "pronouns": self.pronouns,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, where: str = "profile") -> Profile:
        """Build a profile from its JSON form; keys that are not known are ignored.

        Raises:
            RecordError: a key is missing, of the wrong kind, or the format is another; ``where`` opens the message.
        """
        try:
            if data["format"] != PROFILE_FORMAT:
                raise RecordError(f"{where}: profile format {data['format']!r}, this version reads {PROFILE_FORMAT}")
            return cls(
                scope=data["scope"],
                article_id=data["article_id"],
                outlet=data["outlet"],
                model_version=data["model_version"],
                error=data["error"],
                articles=data["articles"],
                segments=data["segments"],
                boilerplate=data["boilerplate"],
                characters=data["characters"],
                figures={name: _figure(data["figures"][name]) for name in SIGNALS},
                sources=tuple(
                    SourceCount(
                        name=item["name"],
                        source_type=None if item["source_type"] is None else SourceType(item["source_type"]),
                        n=item["n"],
                    )
                    for item in data["sources"]
                ),
                pronouns=data["pronouns"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RecordError(f"{where}: not a profile of format {PROFILE_FORMAT}: {error!r}") from error


def _figure(data: Mapping[str, Any]) -> Figure:
    return Figure(
        value=data["value"],
        low=data["low"],
        high=data["high"],
        n=data["n"],
        observed=data["observed"],
        corrected=data["corrected"],
    )
