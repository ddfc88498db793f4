"""A scored page for people at a terminal: one line a segment, its letter, confidence, and what needs review."""

from __future__ import annotations

import re

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from annotator.records import Attribution, Label, ScoredArticle, ScoredSegment
from annotator.segmentation import Break, breaks

# Letter, name in French, style. The colours are Okabe and Ito's, told apart by the colour-blind; the letter stands
# beside every segment, so nothing is lost without colour.
MARKS: dict[Label, tuple[str, str, str]] = {
    Label.REPORTED_CLAIM: ("R", "fait rapporté", "#56b4e9"),
    Label.ATTRIBUTED_QUOTE: ("Q", "citation attribuée", "#009e73"),
    Label.EDITORIAL_FRAMING: ("E", "cadrage éditorial", "#e69f00"),
    Label.BOILERPLATE: ("B", "paratexte", "grey58"),
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """Return a page's text safe to print: control and bidirectional override characters become spaces."""
    return _CONTROL.sub(" ", text)


def render_page(scored: ScoredArticle) -> RenderableType:
    """Render a scored article: heading, segments in page order, legend and counts."""
    article = scored.article
    heading = Text(plain(article.title or article.article_id), style="bold")
    details = " · ".join(plain(x) for x in (article.outlet, article.date, article.url) if x)
    parts: list[RenderableType] = [heading]
    if details:
        parts.append(Text(details, style="dim"))
    parts += [Text(f"! {plain(warning)}", style="bold red") for warning in article.warnings]
    parts += [Padding(_body(scored), (1, 0)), legend(scored)]
    return Group(*parts)


def _body(scored: ScoredArticle) -> Table:
    grid = Table.grid(padding=(0, 1))
    for justify in ("left", "right", "left"):
        grid.add_column(justify=justify, no_wrap=True)
    grid.add_column(ratio=1, overflow="fold")
    kinds = breaks(scored.article.text, [segment.span for segment in scored.segments])
    for index, (segment, kind) in enumerate(zip(scored.segments, kinds, strict=True)):
        if index and kind is Break.PARAGRAPH:
            grid.add_row("", "", "", "")
        letter, _, style = MARKS[segment.label]
        grid.add_row(
            Text(letter, style=f"bold {style}"),
            Text(f"{segment.confidence * 100:.0f}%", style="dim"),
            Text("?" if segment.needs_review else " ", style="bold red"),
            _words(scored, segment, style),
        )
    return grid


def _words(scored: ScoredArticle, segment: ScoredSegment, style: str) -> Text:
    text = scored.article.text
    words = Text(plain(segment.span.of(text)), style=style)
    if segment.unverified:
        words.append("  [non vérifié]", style="dim")
    attribution = segment.attribution
    if attribution is None:
        return words
    for span, how in ((attribution.source, "underline"), (attribution.cue, "italic")):
        if span is not None:
            words.stylize(how, span.start - segment.span.start, span.end - segment.span.start)
    if (who := _source(scored, attribution)) is not None:
        kind = f", {attribution.source_type}" if attribution.source_type else ""
        words.append(f"  [source: {plain(who)}{kind}]", style="dim")
    return words


def _source(scored: ScoredArticle, attribution: Attribution) -> str | None:
    """Say who speaks: the source, whom a pronoun stands for, or in brackets whose words go on."""
    text = scored.article.text
    if attribution.source is not None:
        own = attribution.source.of(text)
        return own if attribution.antecedent is None else f"{own} = {attribution.antecedent.of(text)}"
    if attribution.source_segment is None:
        return None
    held = scored.segments[attribution.source_segment].attribution
    return None if held is None else f"({_source(scored, held)})"


def legend(scored: ScoredArticle) -> Text:
    """Return the legend with the number of segments of each label, and how many need review."""
    counts = dict.fromkeys(Label, 0)
    for segment in scored.segments:
        counts[segment.label] += 1
    line = Text()
    for label, (letter, name, style) in MARKS.items():
        line.append(f"{letter} ", style=f"bold {style}")
        line.append(f"{name} {counts[label]}   ", style=style)
    review = sum(segment.needs_review for segment in scored.segments)
    line.append(f"? à relire {review}", style="bold red")
    line.append(f"\n{len(scored.segments)} segments, model {scored.model_version}", style="dim")
    return line
