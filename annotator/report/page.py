"""Templates filled, and the page sealed: nothing in it runs or loads but its own script and style.

The Content-Security-Policy names them by their SHA-256 and forbids everything else, also strings as markup (Trusted
Types); it stands in the page itself, so it holds for a file opened from a disk.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from annotator.marks import ANONYMITY_COLOUR, CUE_COLOUR, KIND_NAMES, LABEL_MARKS, REVIEW_COLOUR, SOURCE_COLOUR
from annotator.profile import SIGNALS
from annotator.records import LABELS
from annotator.report.data import clean, json_text
from annotator.report.words import LANGS, Lang, label_meanings, signal_names, words

_HERE = Path(__file__).parent
# Figures that rest on fewer are shown, in grey: for an outlet, and for a single article.
FEW, FEW_IN_ARTICLE = 30, 10
NUMBERS = ("distinct_sources",)

PALETTE: Mapping[str, str] = {
    "ink": "#1b1b1b",
    "soft": "#595959",
    "grey": "#6b6b6b",
    "paper": "#ffffff",
    "tint": "#f3f3f1",
    "line": "#d9d9d6",
    "edge": "#767676",
    "link": "#00558a",
    "focus": "#1b1b1b",
    "badge-ink": "#111111",
    "source": SOURCE_COLOUR,
    "cue": CUE_COLOUR,
    "anonymity": ANONYMITY_COLOUR,
    "review": REVIEW_COLOUR,
}
_TINT = 0.26  # of a label's colour behind its text; the rest is paper


def tint(colour: str, share: float = _TINT) -> str:
    """Return ``colour`` (``#rrggbb``) mixed with white: ``share`` of it."""
    parts = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return "#" + "".join(f"{round(255 - (255 - part) * share):02x}" for part in parts)


@functools.cache
def style(rows: int = 0) -> str:
    """Return the style sheet: the colours of the marks, about how high a card with so many rows is, style.css."""
    root = "".join(f"--{name}:{value};" for name, value in PALETTE.items()) + f"--card:{8 + 2.4 * rows:.0f}rem;"
    marks = (
        f".label-{mark.letter}{{--label:{mark.colour};--back:{tint(mark.colour)}}}" for mark in LABEL_MARKS.values()
    )
    return "\n".join((f":root{{{root}}}", *marks, _asset("style.css")))


@functools.cache
def script(*names: str) -> str:
    """Return the named assets as one script, in a scope of its own."""
    parts = "\n".join(_asset(name) for name in names)
    return f'(() => {{\n"use strict";\n{parts}}})();\n'


def _asset(name: str) -> str:
    return (_HERE / "assets" / name).read_text(encoding="utf-8")


@functools.cache
def policy(script_text: str, style_text: str, *, connect: str = "'none'") -> str:
    """Return the Content-Security-Policy of a page with this script and style."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(script_text)}",
            f"style-src {_hash(style_text)}",
            "img-src data:",
            f"connect-src {connect}",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def config(lang: Lang) -> dict[str, Any]:
    """Return what the script is told: words, labels, kinds of sources, signals."""
    place = LANGS.index(lang)
    return {
        "lang": lang,
        "words": words(lang),
        "labels": [{name: label[name] for name in ("id", "letter", "name")} for label in labels(lang)],
        "kinds": {kind: names[place] for kind, names in KIND_NAMES.items()},
        "signals": {name: signal_names(lang)[name] for name in SIGNALS},
        "numbers": NUMBERS,
        "few": FEW_IN_ARTICLE,
    }


def labels(lang: Lang) -> list[dict[str, str]]:
    """Return id, letter, name and meaning of every label, in the order of the model."""
    found = []
    for label in LABELS:
        mark = LABEL_MARKS[label]
        name = mark.fr if lang == "fr" else mark.en
        found.append({"id": label, "letter": mark.letter, "name": name, "about": label_meanings(lang)[label]})
    return found


@functools.cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        # Control characters and lone surrogates have no place in an HTML file.
        finalize=lambda value: clean(value) if type(value) is str else value,
    )


def fill(template: str, lang: Lang, *scripts: str, connect: str = "'none'", rows: int = 0, **values: Any) -> str:
    """Return the page of a template: ``scripts`` are assets, ``values`` what the template asks for beside the frame.

    ``connect`` is what the script may fetch from, as in the policy; ``rows`` how many a card has, as in :func:`style`.
    """
    code, look = script(*scripts), style(rows)
    return (
        _environment()
        .get_template(template)
        .render(
            lang=lang,
            policy=policy(code, look, connect=connect),
            style=Markup(look),  # noqa: S704 -- the package's own
            script=Markup(code),  # noqa: S704 -- the package's own
            config=inert(config(lang)),
            words=words(lang),
            labels=labels(lang),
            **values,
        )
    )


def inert(value: Any) -> Markup:
    """Return data for a ``<script type="application/json">``; see :func:`annotator.report.data.json_text`."""
    return Markup(json_text(value))  # noqa: S704 -- holds no markup: that is what json_text is for
