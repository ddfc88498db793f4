"""A scored page for people at a terminal: one line a segment, its letter, confidence, and what needs review."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from annotator.marks import LABEL_MARKS
from annotator.profile import SIGNALS, Figure, Profile
from annotator.records import Attribution, Label, ScoredArticle, ScoredSegment
from annotator.segmentation import Break, breaks

# Letter, name in French, style.
MARKS: dict[Label, tuple[str, str, str]] = {
    label: (mark.letter, mark.fr.lower(), mark.colour.lower()) for label, mark in LABEL_MARKS.items()
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


# A column of figures is this wide: a share, its interval, what it is a share of.
_FIGURE_WIDTH = 26


def profile_tables(profiles: Sequence[Profile], *, width: int) -> Iterator[Table]:
    """Render profiles side by side, as many in a table as ``width`` columns hold, in the order given."""
    names = max(map(len, SIGNALS)) + 2
    beside = max(1, (width - names) // (_FIGURE_WIDTH + 2))
    for first in range(0, len(profiles), beside):
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("", no_wrap=True)
        for profile in profiles[first : first + beside]:
            title = plain(profile.article_id or profile.outlet or "(no outlet)")
            count = f"{profile.articles} article{'s' * (profile.articles != 1)}, {profile.segments} segments"
            table.add_column(Text(f"{title}\n{count}"), overflow="fold", width=_FIGURE_WIDTH)
        for name in SIGNALS:
            figures = [profile.figures[name] for profile in profiles[first : first + beside]]
            table.add_row(name, *(Text(_figure(name, figure)) for figure in figures))
        yield table


def _figure(name: str, figure: Figure) -> str:
    if figure.value is None:
        return "-"
    scale, places = (1, 1) if name == "distinct_sources" else (100, 0)
    unit = "" if scale == 1 else " %"
    ends = ""
    if figure.low is not None and figure.high is not None:
        ends = f" [{figure.low * scale:.{places}f}, {figure.high * scale:.{places}f}]"
    mark = "" if figure.corrected else " *"
    return f"{figure.value * scale:.{places}f}{unit}{ends} n={figure.n}{mark}"
