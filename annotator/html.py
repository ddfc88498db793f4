"""From an HTML page to an article.

Nothing is taken for furniture here: menus, footers, cookie notices and bylines stay, because they are labelled
later. Only what a browser with scripts does not show is left out (scripts, styles, templates, ``hidden``,
``display:none`` written on the element itself; style sheets are not evaluated).

lxml parses, html-text lays the blocks out as lines, htmldate finds the date. html-text alone puts spaces
around every inline tag (``L<b>'eau</b>`` becomes ``L 'eau``), so inline tags are merged into their block before it
sees the tree; docs/schema.md states the rules for the text.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any

from annotator.files import decode
from annotator.records import Article

_LOG = logging.getLogger(__name__)

_DECLARED = re.compile(
    rb"""<meta[^>]{1,300}?charset\s*=\s*["']?\s*([\w.:-]+)|^\s*<\?xml[^>]{1,200}?encoding\s*=\s*["']([\w.:-]+)""",
    re.IGNORECASE,
)
# ruff: noqa: SIM905 -- tag names read better as words than as sixty quoted strings
_PARAGRAPHS = frozenset("address blockquote dl figure h1 h2 h3 h4 h5 h6 hgroup ol p pre ul menu".split())
_LINES = frozenset(
    "article aside body br caption center dd details dialog dir div dt fieldset figcaption footer form head header hr "
    "legend li main nav optgroup option search section select summary table tbody textarea tfoot thead tr".split()
)
_BOXES = frozenset("td th button".split())  # on the line of their neighbours, a space apart
_LAID_OUT = _PARAGRAPHS | _LINES | _BOXES
_NOT_SHOWN = (  # not head: where its tags are left out, libxml2 puts <nav> and <header> of the page into it
    "script style template noscript title iframe frameset noframes noembed object embed applet "
    "audio video canvas svg datalist rp"
).split()
_HIDDEN = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)
_AS_BLOCK = re.compile(r"display\s*:\s*(?:block|flex|grid|table|list-item)\b", re.IGNORECASE)
_AS_PRE = re.compile(r"white-space\s*:\s*pre", re.IGNORECASE)

# html-text folds every kind of space into one blank. No-break spaces are part of French typography, so they pass
# through it as private-use characters; so do the line ends of <pre>.
_SPACES = (
    "\x85\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
_MASK: dict[int, int | None] = {ord(c): 0x10F000 + i for i, c in enumerate(_SPACES)}
_UNMASK = {v: k for k, v in _MASK.items()} | {0x10F0FF: ord("\n")}
# What lxml gives but does not take: characters that XML forbids; a form feed is a blank in HTML.
_MASK |= dict.fromkeys((*range(9), 11, *range(14, 32), 0xFFFE, 0xFFFF)) | {12: ord(" ")}
_MASK_PRE = _MASK | {ord("\n"): 0x10F0FF}
_NO_BREAK = chr(0x10F000 + _SPACES.index("\u00a0"))


def html_to_article(
    data: bytes | str,
    *,
    article_id: str,
    url: str | None = None,
    outlet: str | None = None,
    header_charset: str | None = None,
) -> Article:
    """Read one HTML page; a page without any text gives an article whose text is empty.

    Args:
        data: the page as bytes or as text.
        article_id: the id that the article gets.
        url: where the page is from; without it, the canonical address that the page names.
        outlet: whose page it is; without it, the site name that the page states.
        header_charset: the charset of the HTTP ``Content-Type`` header, if known.

    Returns:
        The visible text with one line a block, and title, date (ISO), outlet and address from the metadata.

    Raises:
        InputError: ``data`` is binary, or in no known encoding.
    """
    warnings = []
    if isinstance(data, bytes):
        declared = header_charset or _declared_charset(data)
        data, warning = decode(data, declared=declared)
        warnings += [warning] if warning else []
    tree, flattened = _parse(data)
    if flattened:
        warnings.append("html: nested too deep for the parser; block structure simplified, hidden parts may show")
    if tree is None:
        return Article(article_id=article_id, text="", outlet=outlet, url=url, warnings=tuple(warnings))
    title, date, site, canonical = _metadata(tree)
    return Article(
        article_id=article_id,
        text=_visible_text(tree),
        outlet=outlet or site,
        url=url or canonical,
        title=title,
        date=date,
        warnings=tuple(warnings),
    )


def _declared_charset(data: bytes) -> str | None:
    head = re.sub(rb"<!--.*?-->", b"", data[:4096], flags=re.DOTALL)
    found = _DECLARED.search(head)
    return (found[1] or found[2]).decode("ascii", "replace") if found else None


def _parse(page: str) -> tuple[Any | None, bool]:
    """Parse a page of any quality; libxml2 keeps nothing of one nested over 2,048 deep, so that is flattened."""
    tree, complete = _parse_once(page)
    if complete:
        return tree, False
    keep = {*_NOT_SHOWN, "html", "head", "body", "meta", "link", "br"} - {"frameset"}

    def flat(tag: re.Match[str]) -> str:
        name = tag[1].lower()
        return tag[0] if name in keep else "<br>" if name in _PARAGRAPHS | _LINES else " " if name in _BOXES else ""

    tree, _ = _parse_once(re.sub(r"</?([a-zA-Z][^\s/>]*)[^<>]*>", flat, page))
    return tree, True


def _parse_once(page: str) -> tuple[Any | None, bool]:
    import lxml.html  # type: ignore[import-untyped]  # noqa: PLC0415 -- only pages in HTML pay for it

    data = page.replace("\0", "").strip().encode("utf-8", "xmlcharrefreplace")  # a lone surrogate becomes U+FFFD
    if not data:
        return None, True
    parser = lxml.html.HTMLParser(recover=True, encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True)
    tree = lxml.etree.fromstring(data, parser=parser)
    return tree, not any("xcessive depth" in entry.message for entry in parser.error_log)


_TITLES = (
    "//meta[@property='og:title' or @name='og:title']/@content",
    "//meta[@name='twitter:title' or @property='twitter:title']/@content",
    "//h1[not(//h1[2])]",
    "//head/title",
)
_OUTLETS = (
    "//meta[@property='og:site_name' or @name='og:site_name']/@content",
    "//meta[@name='application-name']/@content",
    "//meta[@name='publisher' or @property='article:publisher_name']/@content",
)
_ADDRESSES = (
    "//link[@rel='canonical']/@href",
    "//meta[@property='og:url' or @name='og:url']/@content",
)


def _metadata(tree: Any) -> tuple[str | None, str | None, str | None, str | None]:
    """Read title, date, outlet and canonical address; offline, and the same on every day."""
    from htmldate import find_date  # noqa: PLC0415 -- 0.2 s to import

    title, outlet, address = (_first_of(tree, paths) for paths in (_TITLES, _OUTLETS, _ADDRESSES))
    if address is not None and not address.startswith(("http://", "https://")):
        address = None
    try:
        # A fixed latest date: the default, today, would make the record depend on the day it is read.
        date = find_date(tree, original_date=True, extensive_search=False, max_date="2100-01-01")
    except Exception:  # noqa: BLE001 -- heuristics of a third party over broken markup: only the date is lost
        _LOG.debug("the date could not be read", exc_info=True)
        date = None
    return title, date, outlet, address


def _first_of(tree: Any, paths: Sequence[str]) -> str | None:
    for path in paths:
        for found in tree.xpath(path):
            text = found if isinstance(found, str) else found.text_content()
            if words := " ".join(text.split()):
                return words
    return None


def _visible_text(tree: Any) -> str:
    import html_text  # noqa: PLC0415 -- with lxml
    from lxml import etree  # noqa: PLC0415

    etree.strip_elements(tree, *_NOT_SHOWN, with_tail=False)
    styled = tree.xpath("//*[@hidden or @style or self::dialog]")
    for block in (*tree.iter("pre", "textarea"), *(e for e in styled if _AS_PRE.search(e.get("style") or ""))):
        for element in block.iter():
            _mask(element, _MASK_PRE)
    for element in tree.iter():
        _mask(element, _MASK)
    for element in styled:
        style = element.get("style") or ""
        hidden = element.get("hidden") is not None or _HIDDEN.search(style)
        if element.tag in {"html", "body"}:  # pages hide these until their scripts run
            continue
        if hidden or (element.tag == "dialog" and element.get("open") is None):
            element.drop_tree()
        elif element.tag not in _LAID_OUT and _AS_BLOCK.search(style):
            element.tag = "div"
    _mark_layout(tree)
    for element in tree.iter():
        if element.tag not in _LAID_OUT:  # one name for all of them: names made of broken markup cannot be asked for
            element.tag = "span"
    etree.strip_tags(tree, "span")
    laid_out = html_text.etree_to_text(tree, newline_tags=_LINES, double_newline_tags=_PARAGRAPHS)
    lines = [line.strip() for line in laid_out.translate(_UNMASK).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _mask(element: Any, table: dict[int, int | None]) -> None:
    for part in ("text", "tail"):
        text = getattr(element, part)
        if text and (masked := text.translate(table)) != text:
            setattr(element, part, masked)


def _mark_layout(tree: Any) -> None:
    """Write into the tree what the plain tags do not tell: quotes, links side by side, double breaks, lone blocks."""
    for quote in tree.iter("q"):  # a browser draws the marks
        quote.text = f"«{_NO_BREAK}{quote.text or ''}"
        quote.tail = f"{_NO_BREAK}»{quote.tail or ''}"
    for link in tree.iter("a"):  # menus: two links that touch are two words, styled apart
        before = link.getprevious()
        if before is not None and before.tag == "a" and not before.tail:
            before.tail = " "
    for line_break in list(tree.iter("br")):
        before = line_break.getprevious()
        if before is not None and before.tag == "br" and not (before.tail or "").strip():
            line_break.tag = "p"  # two breaks make a paragraph
    for cell in tree.iter("td", "th", "li", "dd", "dt"):  # a row stays one line when each cell is one paragraph
        inner = cell
        while len(inner) == 1 and inner[0].tag in {"p", "div"} and not (inner.text or inner[0].tail or "").strip():
            inner = inner[0]
            inner.tag = "span"
