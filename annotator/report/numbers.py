"""Numbers as people of a language write them."""

from __future__ import annotations

from annotator.profile import Figure
from annotator.report.words import Lang

_NARROW = "\u202f"  # narrow no-break space: before %, and between thousands, in French


def percent(share: float, lang: Lang) -> str:
    """Return a share as whole per cent."""
    return f"{share * 100:.0f}{_NARROW if lang == 'fr' else ''}%"


def whole(number: float, lang: Lang) -> str:
    """Return a number without decimals, thousands apart."""
    return f"{number:,.0f}".replace(",", _NARROW if lang == "fr" else ",")


def amount(value: float | None, lang: Lang, *, share: bool) -> str:
    """Return a share or a number; a dash where there is none."""
    if value is None:
        return "–"
    return percent(value, lang) if share else whole(value, lang)


def interval(figure: Figure, lang: Lang, *, share: bool) -> str:
    """Return ``[low–high]``, per cent without its sign; empty where there is none."""
    if figure.low is None or figure.high is None:
        return ""
    low, high = (f"{end * 100:.0f}" if share else whole(end, lang) for end in (figure.low, figure.high))
    return f"[{low}–{high}]"
