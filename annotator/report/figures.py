"""Plots of the report, drawn by Matplotlib: a strip of SVG a row, to stand in the row of a table.

Matplotlib draws marks, intervals and grid, and no word: names and numbers are text of the page beside the strip, so
they follow its font, language and width, and cannot be anything but text.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

import numpy as np
from lxml import etree  # type: ignore[import-untyped]
from matplotlib import rc_context
from matplotlib import style as mpl_style
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

# Pixels of a strip: its axis, the room at both ends for a mark that stands there, the heights of rows.
AXIS, _MARGIN = 240, 6
_ROW, _DOUBLE_ROW, _SPREAD_ROW = 20, 30, 30
_GREY, _EDGE, _GRID = "#6b6b6b", "#333333", "#dcdcd9"
_PARTS = 4  # stretches between grid lines
_SVG = "{http://www.w3.org/2000/svg}"
_XLINK = "{http://www.w3.org/1999/xlink}href"
# Dots are legible, and light enough, to about this many in a plot; above, quartiles alone are drawn.
MOST_DOTS = 3000


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A point and the ends of its interval, None where there is none; ``few``: it rests on little."""

    value: float | None
    low: float | None
    high: float | None
    few: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The articles of an outlet: a value of each, and whether it rests on little."""

    values: tuple[float, ...]
    few: tuple[bool, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """The colour of marks, the end of the axis, and a key that no other plot of the page has."""

    key: str
    colour: str
    top: float = 1.0


@mpl_style.context("default")  # whatever a matplotlibrc of the machine says
def interval_strips(rows: Sequence[Sequence[Estimate]], style: Style) -> list[str]:
    """Return an SVG element for each row: points with their intervals; the second of a row is a diamond."""
    doubled = any(len(row) > 1 for row in rows)
    height = _DOUBLE_ROW if doubled else _ROW
    figure, axes = _axes(len(rows), height, style)
    for index, row in enumerate(rows):
        for number, estimate in enumerate(row):
            if estimate.value is None:
                continue
            y = index + ((number - 0.5) * 0.44 if doubled else 0.0)
            low, high = (estimate.value if end is None else end for end in (estimate.low, estimate.high))
            edge = _GREY if estimate.few else _EDGE
            face = "white" if estimate.few else style.colour
            _line(axes, [low, high], [y, y], row=index, color=edge, linewidth=1.8)
            _dots(
                axes, [estimate.value], [y], row=index, marker="oD"[number], size=(8, 6.5)[number], face=face, edge=edge
            )
    return _strips(figure, len(rows), height, style)


@mpl_style.context("default")
def spread_strips(rows: Sequence[Spread], style: Style) -> list[str]:
    """Return an SVG element for each row: a dot an article, a bar over the middle half, a line at the median."""
    figure, axes = _axes(len(rows), _SPREAD_ROW, style)
    dots = sum(len(row.values) for row in rows) <= MOST_DOTS
    for index, row in enumerate(rows):
        if len(row.values) > 1:
            first, _, third = quantiles(row.values, n=4, method="inclusive")
            _line(axes, [first, third], [index] * 2, row=index, color=style.colour, linewidth=18, alpha=0.35)
        if dots and row.values:
            # Steps of the golden ratio spread the dots evenly over the row's height and need no seed.
            places = index + (np.arange(1, len(row.values) + 1) * 0.618034 % 1 - 0.5) * 0.62
            few, values = np.array(row.few), np.array(row.values)
            for which, face in ((few, "white"), (~few, style.colour)):
                _dots(axes, values[which], places[which], row=index, marker="o", size=4, face=face, edge=_EDGE)
        if row.values:
            _line(axes, [median(row.values)] * 2, [index - 0.42, index + 0.42], row=index, color="black", linewidth=2)
    return _strips(figure, len(rows), _SPREAD_ROW, style)


def nice_top(values: Sequence[float], *, share: bool) -> float:
    """Return a round number that no value exceeds, for the end of an axis.

    A share's axis ends at 20, 50 or 100 %, a number's at 1, 2 or 5 times a power of ten.
    """
    most = max(values, default=1.0)
    if share:
        return next((end for end in (0.2, 0.5) if most <= end), 1.0)
    if most <= 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= most)


def _axes(rows: int, height: int, style: Style) -> tuple[Figure, Axes]:
    width = AXIS + 2 * _MARGIN
    # At 72 dots an inch a pixel of the strip is a unit of the SVG.
    figure = Figure(figsize=(width / 72, max(1, rows) * height / 72), dpi=72)
    figure.patch.set_visible(False)
    axes = figure.add_axes((_MARGIN / width, 0, AXIS / width, 1))
    axes.set_xlim(0, style.top)
    axes.set_ylim(max(1, rows) - 0.5, -0.5)
    axes.set_axis_off()
    return figure, axes


def _line(axes: Axes, x: Any, y: Any, *, row: int, **look: Any) -> None:
    # As axes.plot does it, without the search for limits and formats, which takes most of its time.
    axes.add_artist(Line2D(x, y, gid=f"row-{row}", clip_on=False, solid_capstyle="butt", **look))


def _dots(axes: Axes, x: Any, y: Any, *, row: int, marker: str, size: float, face: str, edge: str) -> None:
    look = {"markersize": size, "markerfacecolor": face, "markeredgecolor": edge, "markeredgewidth": round(size / 7, 2)}
    _line(axes, x, y, row=row, linestyle="none", marker=marker, **look)


def _strips(figure: Figure, rows: int, height: int, style: Style) -> list[str]:
    """Deal the marks of a figure out to an element a row; styles become attributes, which the policy allows."""
    FigureCanvasSVG(figure)
    buffer = io.BytesIO()
    # A salt for the ids that Matplotlib makes, and no date: the same articles give the same bytes.
    with rc_context({"svg.hashsalt": style.key, "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    root = etree.fromstring(buffer.getvalue(), etree.XMLParser(resolve_entities=False, no_network=True))
    strips = [_strip(index, height) for index in range(rows)]
    for group in list(root.iter(f"{_SVG}g")):
        if match := re.fullmatch(r"row-(\d+)", group.get("id") or ""):
            strips[int(match[1])].extend(_plain(group, style.key))
    for strip in strips:
        etree.cleanup_namespaces(strip)
    return [etree.tostring(strip, encoding="unicode") for strip in strips]


def _strip(index: int, height: int) -> Any:
    width = AXIS + 2 * _MARGIN
    box = {"viewBox": f"0 {index * height} {width} {height}", "class": "strip", "aria-hidden": "true"}
    strip = etree.Element(f"{_SVG}svg", box, nsmap={None: _SVG[1:-1]})
    lines = (f"M{_MARGIN + AXIS * part / _PARTS:g} {index * height}v{height}" for part in range(_PARTS + 1))
    etree.SubElement(strip, f"{_SVG}path", {"d": "".join(lines), "stroke": _GRID, "fill": "none"})
    return strip


def _plain(group: Any, key: str) -> list[Any]:
    """Return what a group draws, without the groups around it: a page may hold thousands of strips."""
    found = []
    for element in deepcopy(group).iter(f"{_SVG}path", f"{_SVG}use"):
        for declaration in filter(None, element.attrib.pop("style", "").split(";")):
            name, _, value = declaration.partition(":")
            element.set(name.strip(), value.strip())
        if (link := element.attrib.pop(_XLINK, None)) is not None:
            element.set("href", link.replace("#", f"#{key}-", 1))
        if "id" in element.attrib:  # the form of a mark, which others refer to
            element.set("id", f"{key}-{element.get('id')}")
            definition = etree.Element(f"{_SVG}defs")
            definition.append(element)
            element = definition  # noqa: PLW2901
        element.tail = None
        found.append(element)
    return found
