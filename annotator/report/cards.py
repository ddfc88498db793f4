"""What the report shows of outlets: cards, each a plot with its figures in a table, and the most quoted sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median, quantiles
from typing import Any

from markupsafe import Markup

from annotator.marks import KIND_NAMES, LABEL_MARKS
from annotator.profile import Figure, Profile
from annotator.profile.values import VOICES
from annotator.records import SOURCE_TYPES, Label
from annotator.report.figures import Estimate, PlotRow, Spread, Style, nice_top, plot_intervals, plot_spread
from annotator.report.numbers import amount, interval, percent, whole
from annotator.report.page import FEW, FEW_IN_ARTICLE, NUMBERS
from annotator.report.words import LANGS, Lang, signal_about, signal_names, words

_NEUTRAL = "#5b6770"
_BAR = 40  # pixels of the longest bar in a table of sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of a card's table; ``few``: it rests on little."""

    name: str
    cells: tuple[str, ...]
    few: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A plot and its figures; ``name`` and ``about`` say what is shown, ``series`` what its two marks stand for."""

    name: str
    about: str
    series: tuple[str, ...]
    svg: Markup
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Cards under one heading."""

    name: str
    cards: tuple[Card, ...]


def groups(outlets: Sequence[tuple[str, Profile]], lang: Lang) -> list[Group]:
    """Return the cards of every signal, for outlets in the order given, each with its name."""
    said = words(lang)
    card = partial(_signal_card, outlets, lang=lang)
    both = (said["by_segment"], said["by_character"])
    parts = (said["in_body"], said["in_headline"])
    colours = {voice: LABEL_MARKS[voice].colour for voice in VOICES}
    sources = ("sourced", "direct", "unverified", "anonymous_explained", "top_source", "distinct_sources")
    return [
        Group(
            name=said["group_voices"],
            cards=tuple(
                card((f"labels.{v}", f"characters.{v}"), colour=colours[v], series=both, top=1.0) for v in VOICES
            ),
        ),
        Group(
            name=said["group_headline"],
            cards=tuple(
                card(
                    (f"body.{v}", f"headline.{v}"),
                    colour=colours[v],
                    series=parts,
                    top=1.0,
                    name=signal_names(lang)[f"labels.{v}"],
                    about=signal_about(lang)[f"body.{v}"] + " · " + signal_about(lang)[f"headline.{v}"],
                )
                for v in VOICES
            ),
        ),
        Group(name=said["group_sources"], cards=tuple(card((name,)) for name in sources)),
        Group(name=said["group_kinds"], cards=tuple(card((f"source_types.{k}",), top=1.0) for k in SOURCE_TYPES)),
    ]


def _signal_card(
    outlets: Sequence[tuple[str, Profile]],
    signals: tuple[str, ...],
    *,
    lang: Lang,
    colour: str = _NEUTRAL,
    series: tuple[str, ...] = (),
    name: str | None = None,
    about: str | None = None,
    top: float | None = None,
) -> Card:
    said, share = words(lang), signals[0] not in NUMBERS
    name = name or signal_names(lang)[signals[0]]
    about = about or signal_about(lang)[signals[0]]
    shown = [(outlet, [profile.figures[signal] for signal in signals]) for outlet, profile in outlets]
    if top is None:
        top = nice_top([fig.high or fig.value or 0 for _, figs in shown for fig in figs], share=share)
    style = Style(
        title=said["plot_label"].format(name=name),
        colour=colour,
        tick=partial(amount, lang=lang, share=share),
        key=signals[0].replace(".", "-").replace("_", "-"),
        top=top,
        series=series,
    )
    plotted = [PlotRow(name=o, estimates=tuple(_estimate(f, lang, share=share) for f in figs)) for o, figs in shown]
    heads = (said["value"], said["interval"], "n", said["observed"])
    columns = tuple(f"{part} : {head}" if part else head for part in series or ("",) for head in heads)
    rows = tuple(
        Row(
            name=outlet,
            cells=tuple(cell for figure in figs for cell in _cells(figure, lang, share=share)),
            few=all(figure.n < FEW for figure in figs),
        )
        for outlet, figs in shown
    )
    svg = _svg(plot_intervals(plotted, style))
    return Card(name=name, about=about, series=series, svg=svg, columns=columns, rows=rows)


def _svg(text: str) -> Markup:
    return Markup(text)  # noqa: S704 -- written by lxml, every name in it escaped


def _estimate(figure: Figure, lang: Lang, *, share: bool) -> Estimate:
    few = figure.n < FEW
    count = f"n {whole(figure.n, lang)}{'*' if few else ''}"
    parts = (amount(figure.value, lang, share=share), interval(figure, lang, share=share), count)
    return Estimate(value=figure.value, low=figure.low, high=figure.high, few=few, text=" ".join(filter(None, parts)))


def _cells(figure: Figure, lang: Lang, *, share: bool) -> tuple[str, ...]:
    count = whole(figure.n, lang) + ("*" if figure.n < FEW else "")
    value, observed = (amount(x, lang, share=share) for x in (figure.value, figure.observed))
    return value, interval(figure, lang, share=share), count, observed


def distributions(articles: Sequence[tuple[str, Sequence[Profile]]], lang: Lang) -> list[Card]:
    """Return the cards that show every article of every outlet: the voices, and the share of sourced claims."""
    cards = [_spread_card(articles, f"labels.{voice}", LABEL_MARKS[Label(voice)].colour, lang) for voice in VOICES]
    return [*cards, _spread_card(articles, "sourced", _NEUTRAL, lang)]


def _spread_card(articles: Sequence[tuple[str, Sequence[Profile]]], signal: str, colour: str, lang: Lang) -> Card:
    said = words(lang)
    name = signal_names(lang)[signal]
    plotted, rows = [], []
    for outlet, profiles in articles:
        figures = [profile.figures[signal] for profile in profiles]
        known = [(fig.value, fig.n < FEW_IN_ARTICLE) for fig in figures if fig.value is not None]
        values, few = tuple(value for value, _ in known), tuple(little for _, little in known)
        middle = percent(median(values), lang) if values else "–"
        count = f"n {whole(len(values), lang)}"
        plotted.append(Spread(name=outlet, values=values, few=few, text=f"{middle} {count}"))
        ends = (min(values), max(values)) if values else ()
        quarts = quantiles(values, n=4, method="inclusive")[::2] if len(values) > 1 else ends
        cells = (
            middle,
            *("–".join(percent(x, lang) for x in pair) for pair in (quarts, ends)),
            whole(len(values), lang),
        )
        rows.append(Row(name=outlet, cells=cells, few=all(few)))
    style = Style(
        title=said["plot_label"].format(name=f"{name}, {said['by_article'].lower()}"),
        colour=colour,
        tick=partial(percent, lang=lang),
        key=f"spread-{signal.replace('.', '-').replace('_', '-')}",
    )
    columns = (said["median"], said["quartiles"], said["range"], said["number_articles"])
    svg = _svg(plot_spread(plotted, style))
    return Card(name=name, about=signal_about(lang)[signal], series=(), svg=svg, columns=columns, rows=tuple(rows))


def sources(outlets: Sequence[tuple[str, Profile]], lang: Lang) -> list[dict[str, Any]]:
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
