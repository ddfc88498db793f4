"""What language a page is in: a warning for pages that people chose, a filter for the pages of a crawl."""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from typing import Any

from annotator.records import Article

_MIN_LETTERS = 40
# Words of French that hardly any other language has: some 12 % of French running text.
_FRENCH = re.compile(
    r"\b(?:une|du|dans|pour|qui|est|sur|aux|cet?|cette|ces|avec|elles?|ont|sont|été|mais|nous|vous|leurs?|ils|deux|fait"
    r"|ses|même|après|comme|où|être|avait|était|sans|sous|depuis)\b",
    re.IGNORECASE,
)
_PLAIN = 0.06
_WORD = re.compile(r"[^\W\d_]+")
_QUOTED = re.compile(r"«[^»]{0,4000}»|“[^”]{0,4000}”")


def language_warning(text: str) -> str | None:
    """Say in one line that a page does not look French, or return None.

    Looks at 2,000 characters from the start and 1,000 from the middle, quotations in « » and “ ” left out, so that a
    French page stays French around what it quotes. Warns when another language has a probability of 0.7 or more and
    French less than 0.1; never on fewer than 40 letters, nor where one word in 16 is one that French alone has.
    Some 0.1 ms a page then, else 1 ms, after 0.5 to 1 s to load the model (py3langid, in the package: nothing is
    downloaded).
    """
    window = text[:20_000]
    own = _QUOTED.sub(" ", window)
    sample = next((s for s in (_sample(own), _sample(window)) if sum(map(str.isalpha, s)) >= _MIN_LETTERS), None)
    if sample is None or _plainly_french(sample):
        return None
    ranked = dict(_identifier().rank(sample.encode("utf-8", "replace").decode()))
    best = max(ranked, key=ranked.__getitem__)
    if best == "fr" or ranked[best] < 0.7 or ranked["fr"] >= 0.1:
        return None
    return f"language: looks like {best!r} ({ranked[best]:.2f}), the model is trained on French only"


def with_language_warning(article: Article) -> Article:
    """Return the article with a warning where it does not look French."""
    warning = language_warning(article.text)
    return replace(article, warnings=(*article.warnings, warning)) if warning else article


def looks_french(text: str) -> bool:
    """Say whether French is the likeliest language of a page of a crawl; False on fewer than 40 letters.

    Stricter than :func:`language_warning`: nobody chose these pages, and most are in other languages.
    """
    sample = _sample(text[:20_000])
    if sum(map(str.isalpha, sample)) < _MIN_LETTERS:
        return False
    return bool(_identifier().classify(sample.encode("utf-8", "replace").decode())[0] == "fr")


def _plainly_french(sample: str) -> bool:
    """Say that there is no doubt, so that most pages need no model of all languages."""
    return len(_FRENCH.findall(sample)) > _PLAIN * len(_WORD.findall(sample))


def _sample(text: str) -> str:
    middle = max(2000, len(text) // 2)
    return f"{text[:2000]}\n{text[middle : middle + 1000]}"


@functools.cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]  # noqa: PLC0415

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
