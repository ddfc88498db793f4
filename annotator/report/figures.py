"""Plots of the report, drawn by Matplotlib as SVG that can stand in a page under a strict policy.

Matplotlib draws axes, marks and intervals; words and numbers are added as text of the page, so that names of outlets
are neither laid out by Matplotlib (no font, no formula) nor able to be anything but text.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

import numpy as np
from lxml import etree  # type: ignore[import-untyped]
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from annotator.report.data import clean

# Pixels of a plot: names, axes, numbers; height of a row, and what stands above and below the rows.
_NAMES, _AXES, _NUMBERS = 136, 104, 160
_WIDTH = _NAMES + _AXES + _NUMBERS
_WIDE_AXES = 180  # where the numbers are few
_ROW, _TOP, _FOOT = 24, 6, 20
_FONT, _TICK_FONT = 12, 10.5
_INK, _GREY, _EDGE, _GRID = "#1b1b1b", "#6b6b6b", "#333333", "#e2e2e2"
_SVG = "{http://www.w3.org/2000/svg}"
_XLINK = "{http://www.w3.org/1999/xlink}href"
# Marks of one article on a plot are legible to about this many; above, quartiles alone are drawn.
MOST_DOTS = 3000


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A point with the ends of its interval, all None where there is nothing; ``few``: it rests on little."""

    value: float | None
    low: float | None
    high: float | None
    few: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlotRow:
    """An outlet: its name and one estimate a series."""

    name: str
    estimates: tuple[Estimate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """An outlet and its articles: shares in 0..1, and whether each rests on little; ``text`` stands beside."""

    name: str
    values: tuple[float, ...]
    few: tuple[bool, ...]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a plot looks and what it is called: ``tick`` writes a number of its axis, ``top`` is the axis' end."""

    title: str
    colour: str
    tick: Callable[[float], str]
    key: str
    top: float = 1.0
    series: tuple[str, ...] = field(default=())


def plot_intervals(rows: Sequence[PlotRow], style: Style) -> str:
    """Return an SVG element with a row an outlet: points and intervals; a second series is a diamond."""
    doubled = len(style.series) > 1
    height = _ROW + 10 if doubled else _ROW
    figure, axes = _axes(len(rows), height, style)
    for index, row in enumerate(rows):
        for number, estimate in enumerate(row.estimates):
            if estimate.value is None:
                continue
            shift = (number - 0.5) * 0.42 if doubled else 0.0
            low, high = (estimate.value if end is None else end for end in (estimate.low, estimate.high))
            line = _GREY if estimate.few else _EDGE
            axes.plot([low, high], [index + shift] * 2, color=line, linewidth=1.6, solid_capstyle="butt", zorder=2)
            face = "white" if estimate.few else style.colour
            _dots(
                axes, [estimate.value], [index + shift], shape="oD"[number], size=(7.5, 6)[number], face=face, edge=line
            )
    svg = _drawn(figure, style)
    for index, row in enumerate(rows):
        middle = _TOP + (index + 0.5) * height
        _name(svg, row.name, middle)
        for number, estimate in enumerate(row.estimates):
            shift = (number - 0.5) * 13 if doubled else 0
            colour = _GREY if estimate.few else _INK
            _text(svg, estimate.text, x=_WIDTH, y=middle + shift, anchor="end", colour=colour)
    _ticks(svg, len(rows) * height, style)
    return _markup(svg)


def plot_spread(rows: Sequence[Spread], style: Style) -> str:
    """Return an SVG element with a row an outlet: a dot an article, the quartiles as a bar, the median as a line."""
    figure, axes = _axes(len(rows), _ROW, style, width=_WIDE_AXES)
    dots = sum(len(row.values) for row in rows) <= MOST_DOTS
    for index, row in enumerate(rows):
        if len(row.values) > 1:
            first, _, third = quantiles(row.values, n=4, method="inclusive")
            axes.plot([first, third], [index] * 2, color=style.colour, alpha=0.45, linewidth=10, solid_capstyle="butt")
        if row.values and dots:
            # The golden ratio spreads points evenly and needs no seed.
            places = index + (np.arange(1, len(row.values) + 1) * 0.618034 % 1 - 0.5) * 0.5
            few, values = np.array(row.few), np.array(row.values)
            for which, face in ((few, "white"), (~few, style.colour)):
                _dots(axes, values[which], places[which], shape="o", size=4, face=face, edge=_EDGE)
        if row.values:
            middle = median(row.values)
            axes.plot([middle] * 2, [index - 0.36, index + 0.36], color=_INK, linewidth=2, zorder=4)
    svg = _drawn(figure, style)
    for index, row in enumerate(rows):
        _name(svg, row.name, _TOP + (index + 0.5) * _ROW)
        _text(svg, row.text, x=_WIDTH, y=_TOP + (index + 0.5) * _ROW, anchor="end", colour=_INK)
    _ticks(svg, len(rows) * _ROW, style, width=_WIDE_AXES)
    return _markup(svg)


def nice_top(values: Sequence[float], *, share: bool) -> float:
    """Return a round number that no value exceeds, for the end of an axis.

    A share's axis ends at 25, 50 or 100 %, a number's at 1, 2 or 5 times a power of ten.
    """
    most = max(values, default=1.0)
    if share:
        return next((end for end in (0.25, 0.5) if most <= end), 1.0)
    if most <= 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= most)


def _axes(rows: int, height: int, style: Style, *, width: int = _AXES) -> tuple[Figure, Axes]:
    inner = max(1, rows) * height
    outer = _TOP + inner + _FOOT
    figure = Figure(figsize=(_WIDTH / 72, outer / 72), dpi=72)
    figure.patch.set_visible(False)
    axes = figure.add_axes((_NAMES / _WIDTH, _FOOT / outer, width / _WIDTH, inner / outer))
    axes.set_xlim(0, style.top)
    axes.set_ylim(rows - 0.5 if rows else 0.5, -0.5)
    axes.set_xticks([0, style.top / 4, style.top / 2, style.top * 3 / 4, style.top], labels=[""] * 5)
    axes.set_yticks([])
    axes.grid(visible=True, axis="x", color=_GRID, linewidth=1)
    axes.tick_params(length=0)
    axes.set_axisbelow(True)
    axes.set_facecolor("none")
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure, axes


def _dots(axes: Axes, x: Any, y: Any, *, shape: str, size: float, face: str, edge: str) -> None:
    axes.plot(
        x,
        y,
        linestyle="none",
        marker=shape,
        markersize=size,
        markerfacecolor=face,
        markeredgecolor=edge,
        markeredgewidth=size / 7,
        clip_on=False,
        zorder=3,
    )


def _drawn(figure: Figure, style: Style) -> Any:
    """Return the figure as an element whose styles are attributes and whose ids are its own."""
    FigureCanvasSVG(figure)
    buffer = io.BytesIO()
    # A salt for the ids that Matplotlib makes, and no date: the same articles give the same bytes.
    with rc_context({"svg.hashsalt": style.key, "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    root = etree.fromstring(buffer.getvalue(), etree.XMLParser(resolve_entities=False, no_network=True))
    for element in list(root.iter(f"{_SVG}metadata", f"{_SVG}style", etree.Comment)):
        element.getparent().remove(element)
    used = {match for e in root.iter() for value in e.attrib.values() for match in re.findall(r"#([\w-]+)", value)}
    for element in root.iter():
        for declaration in filter(None, element.attrib.pop("style", "").split(";")):
            name, _, value = declaration.partition(":")
            element.set(name.strip(), value.strip())
        if element.get("id") not in used:
            element.attrib.pop("id", None)
        for name, value in element.attrib.items():
            if name == "id":
                element.set(name, f"{style.key}-{value}")
            elif "#" in value and (name == _XLINK or "url(" in value):
                element.set(name, value.replace("#", f"#{style.key}-", 1))
        if (link := element.attrib.pop(_XLINK, None)) is not None:
            element.set("href", link)
    svg = etree.Element(f"{_SVG}svg", {"viewBox": root.get("viewBox"), "role": "img"}, nsmap={None: _SVG[1:-1]})
    svg.set("aria-label", clean(style.title))
    svg.extend(root)
    return svg


def _name(svg: Any, name: str, y: float) -> None:
    name = clean(name)
    short = _fitted(name, _NAMES - 10)
    text = _text(svg, short, x=_NAMES - 8, y=y, anchor="end", colour=_INK)
    if short != name:
        etree.SubElement(text, f"{_SVG}title").text = name


def _fitted(name: str, pixels: float) -> str:
    """Cut a name to about ``pixels`` at _FONT in a wide typeface: whose it is, the page decides."""
    width = 0.0
    for place, letter in enumerate(name):
        width += _FONT * (
            0.36 if letter in "iIjlft'’.,:; " else 1.0 if letter in "mwMW@" or ord(letter) > 0x2E7F else 0.66
        )
        if width > pixels:
            return name[: max(1, place - 1)].rstrip() + "…"
    return name


def _ticks(svg: Any, inner: float, style: Style, *, width: int = _AXES) -> None:
    for part, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        text = style.tick(part * style.top)
        _text(svg, text, x=_NAMES + part * width, y=_TOP + inner + 12, anchor=anchor, colour=_GREY, size=_TICK_FONT)


def _text(svg: Any, text: str, *, x: float, y: float, anchor: str, colour: str, size: float = _FONT) -> Any:
    place = {
        "x": f"{x:g}",
        "y": f"{y + size * 0.35:g}",
        "text-anchor": anchor,
        "fill": colour,
        "font-size": f"{size:g}",
    }
    element = etree.SubElement(svg, f"{_SVG}text", place)
    element.text = clean(text)
    return element


def _markup(svg: Any) -> str:
    etree.cleanup_namespaces(svg)
    return str(etree.tostring(svg, encoding="unicode"))
