"""Telling sources apart: a plain rule on their names, and how often each is quoted.

1. Names are compared without case, accents, quotation marks and doubled blanks; a determiner and a civil title or
   rank before them do not count ("le préfet", "M. Castain").
2. A pronoun stands for its antecedent; without one it is counted apart.
3. A name that ends exactly one longer name of a person of the article is that person ("Castain" after "Hervé
   Castain"). Where two persons end alike, the short name stays by itself.
4. What bears no capital letter ("le rapport", "la police", "une source") and every anonymous source is told apart by
   its words in one article, and never joined across articles. Rule 3 applies to an outlet's names as to an article's.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from annotator.profile.facts import ArticleFacts
from annotator.profile.values import SourceCount
from annotator.records import SOURCE_TYPES, SourceType

LISTED = 10

_WORDS = re.compile(r"\w+(?:[.&'-]\w+)*")
_ELIDED = re.compile(r"(?:qu|[cdjlmnst])'(?=\w)", re.IGNORECASE)


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_DETERMINERS = _set("le la les un une des du de ce cet cette ces son sa ses leur leurs notre nos votre vos mon ma mes")
_TITLES = _set(
    "m mm mr monsieur messieurs mme mmes madame mesdames mlle mlles mademoiselle me mes maitre dr docteur pr "
    "professeur professeure mgr monseigneur sir lord lady general generale colonel commandant commandante capitaine "
    "lieutenant adjudant sergent amiral abbe pere soeur frere"
)
_PRONOUNS = _set(
    "il elle ils elles on lui eux je j nous vous tu lui-meme elle-meme celui celle ceux celles celui-ci celle-ci "
    "ceux-ci celles-ci celui-la celle-la ceux-la celles-la ce cette ces dernier derniere derniers dernieres interesse "
    "interessee qui"
)


@dataclass(slots=True)
class Named:
    """What is known of one source: the forms of its name and its kinds, each with how often they occur."""

    forms: Counter[str] = field(default_factory=Counter)
    kinds: Counter[SourceType | None] = field(default_factory=Counter)

    @property
    def n(self) -> int:
        """How many claims it is the source of."""
        return self.forms.total()

    def add(self, other: Named) -> None:
        """Join what is known of the same source under another name."""
        self.forms.update(other.forms)
        self.kinds.update(other.kinds)

    def kind(self) -> SourceType | None:
        """The kind given most often; the first in the order of SOURCE_TYPES among equals."""
        known = [(-count, SOURCE_TYPES.index(kind), kind) for kind, count in self.kinds.items() if kind is not None]
        return min(known)[2] if known else None

    def name(self) -> str:
        """The form with most words besides determiner and title; among equals the most frequent, then the shortest."""
        return min(self.forms, key=lambda form: (-len(_parse(form)[0]), -self.forms[form], len(form), form))


@dataclass(slots=True)
class Sources:
    """Sources with their counts; ``local`` ones are keyed by their article too and never joined.

    Adding the same articles in any order gives the same counts.
    """

    shared: dict[str, Named] = field(default_factory=lambda: defaultdict(Named))
    local: dict[tuple[str, str], Named] = field(default_factory=lambda: defaultdict(Named))
    pronouns: int = 0

    def add(self, other: Sources) -> None:
        """Add the sources of another article (or several)."""
        for key, named in other.shared.items():
            self.shared[key].add(named)
        for place, named in other.local.items():
            self.local[place].add(named)
        self.pronouns += other.pronouns

    def merged(self) -> list[Named]:
        """Return the distinct sources, short names joined to long ones."""
        return [*_join(self.shared).values(), *self.local.values()]

    def top(self, most: int = LISTED) -> tuple[SourceCount, ...]:
        """Return the most quoted, most first, then by name."""
        counts = [SourceCount(name=one.name(), source_type=one.kind(), n=one.n) for one in self.merged()]
        return tuple(sorted(counts, key=lambda one: (-one.n, one.name, str(one.source_type)))[:most])


def article_sources(facts: ArticleFacts) -> Sources:
    """Return the sources of one article."""
    found = Sources()
    for segment in facts.segments:
        if not segment.sourced:
            continue
        name = segment.source or ""
        words, bears_name = _parse(name)
        if not words or (is_pronoun(name) and not segment.resolved):
            found.pronouns += 1
            continue
        key = " ".join(words)
        apart = segment.source_type is SourceType.ANONYMOUS or not bears_name
        named = found.local[facts.article_id, key] if apart else found.shared[key]
        named.forms[" ".join(name.split())] += 1
        named.kinds[segment.source_type] += 1
    found.shared = _join(found.shared)
    return found


def source_key(name: str) -> str:
    """Return the name without case, accents, marks, determiners and titles; two names of one key are one source."""
    return " ".join(_parse(name)[0])


def is_pronoun(name: str) -> bool:
    """Say whether a source is but a pronoun ("elle", "ce dernier")."""
    words = [_fold(word) for word in _split(name)]
    return bool(words) and all(word in _PRONOUNS for word in words)


def _parse(name: str) -> tuple[list[str], bool]:
    """Return the words that count of a name, folded, and whether any of them bears a capital letter."""
    words = _split(name)
    while len(words) > 1 and (_fold(words[0]) in _DETERMINERS or _fold(words[0]) in _TITLES):
        words = words[1:]
    return [_fold(word) for word in words], any(letter.isupper() for word in words for letter in word)


def _split(name: str) -> list[str]:
    straight = name.replace("’", "'").replace("ʼ", "'").replace("\u2010", "-").replace("\u2011", "-")
    return [_ELIDED.sub("", word, count=1) if _ELIDED.match(word) else word for word in _WORDS.findall(straight)]


def _fold(word: str) -> str:
    plain = unicodedata.normalize("NFKD", word).casefold()
    return "".join(character for character in plain if not unicodedata.combining(character))


def _join(names: Mapping[str, Named]) -> defaultdict[str, Named]:
    """Join each name of a person to the longer one that ends with it, where there is but one such person."""
    longer: defaultdict[str, list[str]] = defaultdict(list)
    persons = {key for key, named in names.items() if named.kind() in {SourceType.PERSON, None}}
    for key in persons:
        words = key.split(" ")
        for cut in range(1, len(words)):
            longer[" ".join(words[cut:])].append(key)
    joined: defaultdict[str, Named] = defaultdict(Named)
    for key, named in names.items():
        home = _only(longer.get(key, ())) if key in persons else None
        joined[home or key].add(named)
    return joined


def _only(keys: Sequence[str]) -> str | None:
    """Return the longest of the names if all the others end it ("Anne Le Gall" and "Le Gall" are one person)."""
    ordered = sorted(keys, key=len, reverse=True)
    if not ordered or any(not ordered[0].endswith(f" {key}") for key in ordered[1:]):
        return None
    return ordered[0]
