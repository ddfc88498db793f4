"""What the report shows of outlets: cards, each a table with a plot in its rows, and the most quoted sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median, quantiles
from typing import Any

from markupsafe import Markup

from annotator.marks import KIND_NAMES, LABEL_MARKS, SOURCE_COLOUR
from annotator.profile import SIGNALS, Figure, Profile
from annotator.profile.values import VOICES
from annotator.records import SOURCE_TYPES
from annotator.report.figures import Estimate, Spread, Style, interval_strips, nice_top, spread_strips
from annotator.report.numbers import amount, interval, percent, whole
from annotator.report.page import FEW, FEW_IN_ARTICLE, NUMBERS
from annotator.report.words import LANGS, Lang, signal_about, signal_names, words

_NEUTRAL = SOURCE_COLOUR
_BAR = 40  # pixels of the longest bar in a table of sources

Named = Sequence[tuple[str, Profile]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An outlet in a card: its plot, and cells for each series; ``few``: that series rests on little."""

    name: str
    strip: Markup
    cells: tuple[tuple[str, ...], ...]
    few: tuple[bool, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A signal: what it is called and a share of, its axis, its columns, its outlets; no rows: nothing is known.

    ``series`` says what the two marks of a row stand for, where there are two.
    """

    name: str
    about: str
    series: tuple[str, ...]
    ticks: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Cards under one heading."""

    name: str
    cards: tuple[Card, ...]


def groups(outlets: Named, lang: Lang) -> list[Group]:
    """Return the cards of every signal, for outlets in the order given, each with its name."""
    said, names, about = words(lang), signal_names(lang), signal_about(lang)
    card = partial(_signal_card, outlets, lang=lang)

    def single(signal: str, top: float | None = None) -> Card:
        return card((signal,), name=names[signal], about=about[signal], top=top)

    def double(voice: str, first: str, second: str, series: tuple[str, ...], name: str, what: str) -> Card:
        pair = (f"{first}.{voice}", f"{second}.{voice}")
        return card(pair, name=name, about=what, series=series, voice=voice, top=1.0)

    parts = f"{about['body.reported_claim']} · {about['headline.reported_claim']}"
    by_length, by_place = (said["by_segment"], said["by_character"]), (said["in_body"], said["in_headline"])
    voices = [
        found
        for v in VOICES
        for found in (
            double(v, "labels", "characters", by_length, names[f"labels.{v}"], about[f"labels.{v}"]),
            double(v, "body", "headline", by_place, f"{names[f'labels.{v}']} {said['headline_and_body']}", parts),
        )
    ]
    sources = ("sourced", "direct", "unverified", "anonymous_explained", "top_source", "distinct_sources")
    return [
        Group(name=said["group_voices"], cards=tuple(voices)),
        Group(name=said["group_sources"], cards=tuple(single(signal) for signal in sources)),
        Group(name=said["group_kinds"], cards=tuple(single(f"source_types.{k}", 1.0) for k in SOURCE_TYPES)),
    ]


def _signal_card(
    outlets: Named,
    signals: tuple[str, ...],
    *,
    lang: Lang,
    name: str,
    about: str,
    top: float | None,
    series: tuple[str, ...] = (),
    voice: str | None = None,
) -> Card:
    said, share = words(lang), signals[0] not in NUMBERS
    shown = [(outlet, [profile.figures[signal] for signal in signals]) for outlet, profile in outlets]
    found = [figure for _, figures in shown for figure in figures if figure.value is not None and figure.n]
    if any(profile.error is not None for _, profile in outlets) and any(not figure.corrected for figure in found):
        about = f"{about}. {said['signal_not_corrected']}"
    if top is None:
        top = nice_top([max(figure.high or 0, figure.value or 0) for figure in found], share=share)
    style = Style(key=_key(signals[0]), colour=_NEUTRAL if voice is None else _colour(voice), top=top)
    strips = interval_strips([[_estimate(figure) for figure in figures] for _, figures in shown], style)
    rows = tuple(
        Row(
            name=outlet,
            strip=_svg(strip),
            cells=tuple(_cells(figure, lang, share=share) for figure in figures),
            few=tuple(figure.n < FEW for figure in figures),
        )
        for (outlet, figures), strip in zip(shown, strips, strict=True)
    )
    return Card(
        name=name,
        about=about,
        series=series,
        ticks=tuple(amount(part * top, lang, share=share) for part in (0, 0.5, 1)),
        columns=(said["value"], said["interval"], "n"),
        rows=rows if found else (),
    )


def _key(signal: str) -> str:
    return signal.replace(".", "-").replace("_", "-")


def _colour(voice: str) -> str:
    return next(mark.colour for label, mark in LABEL_MARKS.items() if label == voice)


def _svg(text: str) -> Markup:
    return Markup(text)  # noqa: S704 -- written by lxml, and without a word


def _estimate(figure: Figure) -> Estimate:
    value = figure.value if figure.n else None
    return Estimate(value=value, low=figure.low, high=figure.high, few=figure.n < FEW)


def _cells(figure: Figure, lang: Lang, *, share: bool) -> tuple[str, ...]:
    value = amount(figure.value, lang, share=share)
    return value, interval(figure, lang, share=share), _count(figure.n, lang, FEW)


def _count(n: int, lang: Lang, few: int) -> str:
    return whole(n, lang) + ("*" if n < few else "")


def all_figures(outlets: Named, lang: Lang) -> list[tuple[str, ...]]:
    """Return every figure of every outlet as a row: outlet, signal, estimate, interval, n, before correction."""
    names = signal_names(lang)
    rows = []
    for outlet, profile in outlets:
        for signal in SIGNALS:
            figure, share = profile.figures[signal], signal not in NUMBERS
            observed = amount(figure.observed, lang, share=share)
            rows.append((outlet, names[signal], *_cells(figure, lang, share=share), observed))
    return rows


def distributions(articles: Sequence[tuple[str, Sequence[Profile]]], lang: Lang) -> list[Card]:
    """Return the cards that show every article of every outlet: the voices, and the share of sourced claims."""
    voices = [_spread_card(articles, f"labels.{voice}", _colour(voice), lang) for voice in VOICES]
    return [*voices, _spread_card(articles, "sourced", _NEUTRAL, lang)]


def _spread_card(articles: Sequence[tuple[str, Sequence[Profile]]], signal: str, colour: str, lang: Lang) -> Card:
    said = words(lang)
    spreads = []
    for _, profiles in articles:
        figures = [profile.figures[signal] for profile in profiles]
        known = [(figure.value, figure.n < FEW_IN_ARTICLE) for figure in figures if figure.value is not None]
        spreads.append(Spread(values=tuple(value for value, _ in known), few=tuple(few for _, few in known)))
    strips = spread_strips(spreads, Style(key=f"spread-{_key(signal)}", colour=colour))
    rows = tuple(
        Row(name=outlet, strip=_svg(strip), cells=(_spread_cells(spread, lang),), few=(all(spread.few),))
        for (outlet, _), spread, strip in zip(articles, spreads, strips, strict=True)
    )
    return Card(
        name=signal_names(lang)[signal],
        about=signal_about(lang)[signal],
        series=(),
        ticks=tuple(percent(part, lang) for part in (0, 0.5, 1)),
        columns=(said["median"], said["quartiles"], said["number_articles"]),
        rows=rows if any(spread.values for spread in spreads) else (),
    )


def _spread_cells(spread: Spread, lang: Lang) -> tuple[str, ...]:
    if not spread.values:
        return "–", "", "0"
    ends = quantiles(spread.values, n=4, method="inclusive")[::2] if len(spread.values) > 1 else ()
    middle = percent(median(spread.values), lang)
    return middle, f"[{ends[0] * 100:.0f}–{ends[1] * 100:.0f}]" if ends else "", whole(len(spread.values), lang)


def sources(outlets: Named, lang: Lang) -> list[dict[str, Any]]:
    """Return the most quoted sources of every outlet, with their kinds, for the template."""
    said, place = words(lang), LANGS.index(lang)
    found = []
    for outlet, profile in outlets:
        most = max((source.n for source in profile.sources), default=1)
        rows = [
            {
                "name": source.name,
                "kind": KIND_NAMES[source.source_type][place] if source.source_type else "–",
                "n": whole(source.n, lang),
                "width": f"{_BAR * source.n / most:.1f}",
            }
            for source in profile.sources
        ]
        pronouns = said["pronouns"].format(n=whole(profile.pronouns, lang)) if profile.pronouns else ""
        found.append({"name": outlet, "rows": rows, "pronouns": pronouns})
    return found
