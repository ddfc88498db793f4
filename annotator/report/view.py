"""The view at ``/`` of ``annotator serve``: the article reader under a form to paste or drop into."""

from __future__ import annotations

import functools

from annotator.report.page import fill, policy, script, style
from annotator.report.words import LANGS, Lang, words

_SCRIPTS = ("reader.js", "list.js", "view.js")


@functools.cache
def view_page(lang: Lang) -> str:
    """Return the page in one language; it may fetch from the server that it came from, and from nowhere else."""
    other = next(code for code in LANGS if code != lang)
    title = words(lang)["view_title"]
    return fill("view.html", lang, *_SCRIPTS, connect="'self'", title=title, other_lang=other, start_open=False)


def view_policy() -> str:
    """Return the Content-Security-Policy for the page's header: that of the page, and nobody may frame it."""
    return policy(script(*_SCRIPTS), style(), connect="'self'") + "; frame-ancestors 'none'"


def preferred(asked: str | None, accepted: str) -> Lang:
    """Return the language to answer in: the one asked for, else the first of Accept-Language, else French."""
    wished = [asked or "", *(part.partition(";")[0].strip().lower()[:2] for part in accepted.split(","))]
    return next((lang for wish in wished for lang in LANGS if wish == lang), "fr")
