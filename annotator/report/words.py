"""Everything that the report and the view say: assets/words.fr.toml and words.en.toml, phrase by phrase the same."""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path
from typing import Literal

Lang = Literal["fr", "en"]
LANGS: tuple[Lang, ...] = ("fr", "en")


@functools.cache
def _table(lang: Lang) -> dict[str, dict[str, str]]:
    path = Path(__file__).parent / "assets" / f"words.{lang}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def words(lang: Lang) -> dict[str, str]:
    """Return every phrase by its name; ``{names}`` in braces stand for values."""
    return _table(lang)["words"]


def label_meanings(lang: Lang) -> dict[str, str]:
    """Return what each label means, by its id."""
    return _table(lang)["labels"]


def signal_names(lang: Lang) -> dict[str, str]:
    """Return what every signal of a profile is called."""
    return _table(lang)["names"]


def signal_about(lang: Lang) -> dict[str, str]:
    """Return what every signal of a profile is a share of."""
    return _table(lang)["about"]
