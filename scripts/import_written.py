"""Turn the pages written for this project into labels/train.jsonl and labels/gate.jsonl.

    python scripts/import_written.py FOLDER -o labels/

FOLDER holds ``*.txt``: line 1 is ``# outlet: … | genre: … | topic: … | features: …``; then ``letter TAB text`` a
segment, with source, cue and source_type in columns 3 to 5 where there are any; a blank line ends a paragraph.

How a page is laid out. Segments of a paragraph are joined by a space; one that ends without sentence punctuation
(a headline, a byline, a time) ends its line too, for no page glues those to what follows. Paragraphs are set apart
by an empty line, but furniture that follows furniture by a single newline: pages of the web show both.

How the gate is chosen (frozen: a page that is already in the output folder keeps its side; a new one goes to the
gate only with its outlet). Into an empty folder: families of outlets (annotator.dataset.outlet_families), shuffled
by SEED, are taken one by one until one page in six is in the gate; each time the family is taken that series
(the letter in the file's name) and genres lack most, counted per page of it.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from annotator.dataset import (
    LabelledPage,
    LabelledSegment,
    Split,
    check,
    digest,
    outlet_families,
    read_pages,
    stats,
    write_pages,
)
from annotator.errors import AnnotatorError, InputError
from annotator.records import SOURCE_TYPES, Article, Attribution, Label, SourceType, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

SEED = 20260517
GATE_SHARE = 1 / 6

LETTERS = {
    "R": Label.REPORTED_CLAIM,
    "Q": Label.ATTRIBUTED_QUOTE,
    "E": Label.EDITORIAL_FRAMING,
    "B": Label.BOILERPLATE,
}
HEADER = re.compile(r"# outlet: (.+?) \| genre: (.+?) \| topic: (.+?) \| features: (.+)")
SENTENCE_END = tuple('.!?…:»"”)')

# The headers name some hundred genres; counts and scores need few. The first pattern that fits names the genre.
GENRES = (
    ("live", r"live"),
    ("state", r"\bstate|press briefing"),
    ("interview", r"interview|entretien"),
    ("factcheck", r"fact-check|debunk"),
    ("partisan", r"conspiracy|partisan|panafricanist"),
    (
        "aggregator",
        r"aggregator|agrégateur|machine-translated|badly scraped|revue de presse|page catégorie|page d'erreur",
    ),
    ("newsletter", r"newsletter"),
    ("blog", r"blog"),
    ("daily", r"chronique judiciaire"),
    ("opinion", r"[ée]ditorial|tribune|chronique|billet|carte blanche|parodique|courrier des lecteurs"),
    ("press_release", r"communiqué|rapport d'ong"),
    ("analysis", r"analys|explainer|décryptage|vulgarisation|questions-réponses"),
    ("agency", r"agenc|dépêche"),
    ("magazine", r"portrait|reportage long|critique|patrimoine|test de produit|conseils pratiques|cyclisme|match"),
    ("daily", r""),
)


class Row(NamedTuple):
    """One segment as it was written."""

    label: Label
    text: str
    source: str
    cue: str
    source_type: str


def read_written(path: Path) -> LabelledPage:
    """Convert one written page.

    Raises:
        InputError: the header, a letter, a column or a substring is not as described; names file and line.
    """
    lines = path.read_bytes().decode().split("\n")
    header = HEADER.fullmatch(lines[0])
    if header is None:
        raise InputError(f"{path}:1: the header is not '# outlet: … | genre: … | topic: … | features: …'")
    outlet, genre, topic, features = header.groups()
    blocks: list[list[list[tuple[int, Row]]]] = [[]]  # paragraphs of lines of segments
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            blocks.append([])
            continue
        row = parse_row(line, where=f"{path}:{number}")
        block = blocks[-1]
        if block and block[-1][-1][1].text.endswith(SENTENCE_END):
            block[-1].append((number, row))
        else:
            block.append([(number, row)])
    text = ""
    segments: list[LabelledSegment] = []
    title: str | None = None
    spoken = False
    last_is_furniture = False
    for block in filter(None, blocks):
        for index, printed in enumerate(block):
            furniture = len(printed) == 1 and printed[0][1].label is Label.BOILERPLATE
            if text:
                text += "\n" if index or (furniture and last_is_furniture) else "\n\n"
            last_is_furniture = furniture
            for position, (number, row) in enumerate(printed):
                text += " " if position else ""
                span = Span(len(text), len(text) + len(row.text))
                text += row.text
                attribution = locate(row, span.start, where=f"{path}:{number}")
                segments.append(LabelledSegment(span=span, label=row.label, attribution=attribution))
                if row.label is not Label.BOILERPLATE and not spoken:
                    spoken = True
                    title = row.text if len(printed) == 1 and not row.text.endswith(".") else None
    return LabelledPage(
        article=Article(article_id=f"written-{path.stem}", text=text, outlet=outlet, title=title),
        split=None,
        genre=next(name for name, pattern in GENRES if re.search(pattern, genre, re.IGNORECASE)),
        topic=topic,
        features=f"{genre} | {features}",
        segments=tuple(segments),
    )


def parse_row(line: str, *, where: str) -> Row:
    """Parse one line of a written page."""
    cells = line.split("\t")
    if len(cells) not in (2, 5) or cells[0] not in LETTERS or cells[1] != cells[1].strip() or not cells[1]:
        raise InputError(f"{where}: not 'R, Q, E or B, tab, text', nor that with source, cue and source_type")
    row = Row(LETTERS[cells[0]], cells[1], *(cells[2:] or ("", "", "")))
    if len(cells) == 5 and (row.source_type not in SOURCE_TYPES or not (row.source or row.cue)):
        raise InputError(f"{where}: source_type {row.source_type!r} is unknown, or stands without source and cue")
    return row


def locate(row: Row, offset: int, *, where: str) -> Attribution | None:
    """Find source and cue in the segment: whole words; of several pairs, the two that stand nearest.

    Raises:
        InputError: one of them is not in the segment.
    """
    if not row.source_type:
        return None

    def found(words: str, name: str) -> list[Span | None]:
        if not words:
            return [None]
        spans = [
            Span(match.start() + offset, match.end() + offset)
            for match in re.finditer(rf"(?<!\w){re.escape(words)}(?!\w)", row.text)
        ]
        if not spans:
            raise InputError(f"{where}: the {name} {words!r} is not in the segment as whole words")
        return [*spans]

    def distance(source: Span | None, cue: Span | None) -> int:
        # A pronoun inside its cue ('a-t-elle dit') is at distance 0.
        return 0 if source is None or cue is None else max(0, source.start - cue.end, cue.start - source.end)

    pairs = [(source, cue) for cue in found(row.cue, "cue") for source in found(row.source, "source")]
    source, cue = min(pairs, key=lambda pair: distance(*pair))
    return Attribution(source=source, cue=cue, source_type=SourceType(row.source_type))


def choose_gate(pages: Sequence[LabelledPage], *, seed: int = SEED, share: float = GATE_SHARE) -> set[str]:
    """Return the families of outlets that go to the gate, by the rule at the head of this file."""
    families = outlet_families(page.article.outlet for page in pages)
    members: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for page in pages:
        series = page.article.article_id.rsplit("-", 1)[0]
        members[families[page.article.outlet]].append((f"series {series}", f"genre {page.genre}"))
    lack: Counter[str] = Counter()
    for stratum in (name for pairs in members.values() for pair in pairs for name in pair):
        lack[stratum] += share  # type: ignore[assignment]  # a Counter of floats
    left = sorted(members)
    random.Random(seed).shuffle(left)
    wanted = round(share * len(pages))
    chosen: set[str] = set()
    while wanted > 0 and left:
        fits = [name for name in left if len(members[name]) <= wanted]
        if not fits:
            break
        best = max(fits, key=lambda name: sum(lack[s] for pair in members[name] for s in pair) / len(members[name]))
        chosen.add(best)
        left.remove(best)
        wanted -= len(members[best])
        lack.subtract(stratum for pair in members[best] for stratum in pair)
    return chosen


def assign(pages: Sequence[LabelledPage], existing: Sequence[LabelledPage]) -> list[LabelledPage]:
    """Give each page its side: the side it has in ``existing``, else by its outlet, else by the rule.

    Raises:
        InputError: ``existing`` holds work that this import would overwrite.
    """
    ids = {page.article.article_id for page in pages}
    lost = [page.article.article_id for page in existing if page.annotations or page.article.article_id not in ids]
    if lost:
        raise InputError(f"the output holds {len(lost)} pages annotated or not from here ({lost[0]}…): use another -o")
    families = outlet_families(page.article.outlet for page in (*pages, *existing))
    gate = (
        {families[page.article.outlet] for page in existing if page.split == "gate"} if existing else choose_gate(pages)
    )
    sides: dict[bool, Split] = {True: "gate", False: "train"}
    return [replace(page, split=sides[families[page.article.outlet] in gate]) for page in pages]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the import; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("folder", type=Path, help="folder of written pages (*.txt)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for train.jsonl and gate.jsonl")
    options = parser.parse_args(argv)
    files = {side: options.output / f"{side}.jsonl" for side in ("train", "gate")}
    try:
        pages = [read_written(path) for path in sorted(options.folder.glob("*.txt"))]
        if not pages:
            raise InputError(f"{options.folder}: no *.txt here: name the folder of the written pages")
        existing = read_pages(*(file for file in files.values() if file.exists()))
        pages = assign(pages, existing)
        if problems := check(pages, where=str(options.folder), before=existing):
            raise InputError("\n".join(problems))
        options.output.mkdir(parents=True, exist_ok=True)
        for side, file in files.items():
            write_pages([page for page in pages if page.split == side], file)
    except (AnnotatorError, UnicodeDecodeError) as error:
        print(error, file=sys.stderr)
        return 1
    for cells in stats(pages).table():
        print("\t".join(cells))
    for side in files:
        print(f"digest {side}: {digest([page for page in pages if page.split == side])}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
