"""One's own labelled data to labelled pages: CSV of sentence and label, CoNLL, a Label Studio export.

Labels of other names are translated by a map; one that is neither known nor mapped is an error that names the place.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from annotator.errors import InputError
from annotator.files import csv_header, csv_rows
from annotator.labelled import LabelledPage, LabelledSegment
from annotator.labelstudio.config import LABEL
from annotator.labelstudio.convert import sha256
from annotator.labelstudio.pages import build_pages, read_task
from annotator.records import LABELS, Article, Label, Span

Format = Literal["csv", "conll", "labelstudio"]
_TEXT, _ID = ("text", "sentence", "phrase"), ("article_id", "doc_id", "id")


@dataclass(slots=True, kw_only=True)
class _Draft:
    """A page while it is read: pieces of text with what stands before each, and their labels."""

    article_id: str
    outlet: str | None
    pieces: list[tuple[str, str, Label]]

    def page(self) -> LabelledPage:
        text, segments = "", []
        for before, piece, label in self.pieces:
            text += before if text else ""
            segments.append(LabelledSegment(span=Span(len(text), len(text) + len(piece)), label=label))
            text += piece
        article = Article(article_id=self.article_id, text=text, outlet=self.outlet)
        return LabelledPage(article=article, split=None, genre=None, topic=None, segments=tuple(segments))


def import_file(
    path: Path, fmt: Format, *, names: Mapping[str, str] | None = None, outlet: str | None = None
) -> tuple[list[LabelledPage], list[str]]:
    """Read a file of labelled data; return its pages, without a split, and what of it could not be used.

    Args:
        path: the file, UTF-8.
        fmt: ``csv``: a header with text (or sentence) and label, optionally article_id and outlet, cells divided as
            the header's are and quoted with ``"``; rows of one article_id are the lines of one page, in order, and a
            row without one is a page of its own; rows without text are left out. ``conll``: one token a line, its BIO
            tag last (``B-label``, ``I-label``), or ``# label = …`` before a sentence; a blank line ends a sentence,
            ``# newdoc id = …`` or -DOCSTART- begins a page. ``labelstudio``: an export (JSON).
        names: other names of labels, theirs to ours.
        outlet: of pages that state none.

    Raises:
        InputError: the file cannot be read, is not of this format, or holds nothing; names the line.
    """
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8: {error}") from error
    known = {str(label): label for label in LABELS}
    for theirs, ours in (names or {}).items():
        if ours not in known:
            raise InputError(f"--map {theirs}={ours}: unknown label {ours!r}: use one of {', '.join(LABELS)}")
        known[theirs] = Label(ours)
    if fmt == "labelstudio":
        pages, left = _from_label_studio(path, content, known, outlet)
    else:
        drafts, left = _from_csv(path, content, known) if fmt == "csv" else (_from_conll(path, content, known), [])
        pages = [replace(draft, outlet=draft.outlet or outlet).page() for draft in drafts]
    if not pages and not left:
        raise InputError(f"{path}: holds nothing labelled: is it really {fmt}? see --format")
    return pages, left


def _label(given: str, known: Mapping[str, Label], where: str) -> Label:
    if not given.strip():
        raise InputError(f"{where}: no label: give it one of {', '.join(LABELS)}")
    if given.strip() not in known:
        raise InputError(f"{where}: unknown label {given!r}: translate it with --map {given}=LABEL")
    return known[given.strip()]


def _from_csv(path: Path, content: str, known: Mapping[str, Label]) -> tuple[Iterable[_Draft], list[str]]:
    try:
        _, columns = csv_header(content.partition("\n")[0])
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    text = next((name for name in _TEXT if name in columns), None)
    key = next((name for name in _ID if name in columns), None)
    if text is None or "label" not in columns:
        raise InputError(f"{path}: needs columns text (or sentence) and label, has {_few(columns)}: see also --format")
    drafts: dict[str, _Draft] = {}
    blank: list[int] = []
    for row in csv_rows(io.BytesIO(content.encode())):
        where = f"{path}:{row.number}"
        if isinstance(row.value, InputError):
            raise InputError(f"{where}: {row.value}") from row.value
        words = (row.value[text] or "").strip()
        if not words:
            blank += [row.number] if any(row.value.values()) else []  # a sheet may end in rows of empty cells
            continue
        name = (row.value[key] if key else None) or f"{path.stem}-{row.number}"
        draft = drafts.setdefault(name, _Draft(article_id=name, outlet=row.value.get("outlet"), pieces=[]))
        draft.pieces.append(("\n", words, _label(row.value["label"] or "", known, where)))
    left = [f"{path}: {len(blank)} rows without text are left out, the first at line {blank[0]}"] if blank else []
    return drafts.values(), left


def _few(columns: Sequence[str]) -> str:
    """List columns for a message: of a file of another kind, the first line may be all of it."""
    shown = [name if len(name) <= 40 else f"{name[:40]}…" for name in columns[:6]]
    return ", ".join(shown) + (f" and {len(columns) - 6} more" if len(columns) > 6 else "")


def _from_conll(path: Path, content: str, known: Mapping[str, Label]) -> Iterator[_Draft]:
    draft = _Draft(article_id=f"{path.stem}-1", outlet=None, pieces=[])
    count = 1
    for number, sentence in _sentences(content):
        where = f"{path}:{number}"
        comments = [line[1:].partition("=") for line in sentence if line[0] == "#" and "=" in line]
        notes = {name.strip(): value.strip() for name, _, value in comments}
        tokens = [line.split("\t") if "\t" in line else line.split() for line in sentence if line[0] != "#"]
        starts = any(token[0] == "-DOCSTART-" for token in tokens)
        if starts or "newdoc id" in notes:
            if draft.pieces:
                yield draft
                count += 1
            draft = _Draft(article_id=notes.get("newdoc id") or f"{path.stem}-{count}", outlet=None, pieces=[])
            tokens = [token for token in tokens if token[0] != "-DOCSTART-"]
        if tokens:
            draft.pieces += _segments(tokens, notes.get("label"), known, where, first="\n" if draft.pieces else "")
    if draft.pieces:
        yield draft


def _sentences(content: str) -> Iterator[tuple[int, list[str]]]:
    held: list[str] = []
    first = 1
    for number, line in enumerate([*content.split("\n"), ""], start=1):
        if line.strip():
            first = first if held else number
            held.append(line.rstrip("\r"))
        elif held:
            yield first, held
            held = []


def _segments(
    tokens: list[list[str]], label: str | None, known: Mapping[str, Label], where: str, *, first: str
) -> Iterator[tuple[str, str, Label]]:
    """Yield (what stands before, text, label) for each run of tokens of a sentence."""
    runs: list[tuple[str, str, Label]] = []
    glue = first
    for token in tokens:
        conllu = len(token) == 10 and token[0].replace("-", "").isdigit()
        word = token[1] if conllu else token[0]
        tag = token[-1]
        if label is not None:
            begins, name = not runs, label
        elif tag[:2] in ("B-", "I-"):
            name = tag[2:]
            begins = tag[0] == "B" or not runs or runs[-1][2] is not _label(name, known, where)
        else:
            raise InputError(f"{where}: tag {tag!r}: every token is in a segment: use B-LABEL and I-LABEL")
        if begins:
            runs.append((glue, word, _label(name, known, where)))
        else:
            before, text, kind = runs[-1]
            runs[-1] = before, text + glue + word, kind
        glue = "" if conllu and "SpaceAfter=No" in token[9] else " "
    yield from runs


def _from_label_studio(
    path: Path, content: str, known: Mapping[str, Label], outlet: str | None
) -> tuple[list[LabelledPage], list[str]]:
    try:
        tasks = json.loads(content)
        if not isinstance(tasks, list):
            raise InputError(f"{path}: a Label Studio export is a JSON list of tasks: export as JSON")
        read = [read_task(_own_task(task, known, outlet)) for task in tasks]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path}: not a Label Studio export in JSON: {error!r}") from error
    pages, refused = build_pages(read, {})
    return pages, [f"{item['article_id']}: annotation {item['annotation_id']}: {item['reason']}" for item in refused]


def _own_task(task: Mapping[str, Any], known: Mapping[str, Label], outlet: str | None) -> dict[str, Any]:
    """Give a task that annotator did not push what its own have, and its labels our names."""
    data = dict(task["data"])
    text = str(data["text"])
    if "sent_sha256" not in data:
        data |= {"article_id": str(data.get("article_id") or f"task-{task['id']}"), "altered": {}}
        data |= {"text_sha256": sha256(text), "sent_sha256": sha256(text)}
    data["outlet"] = data.get("outlet") or outlet or ""
    annotations = []
    for item in task.get("annotations") or ():
        result = []
        for entry in item.get("result") or ():
            value = entry.get("value") or {}
            chosen = value.get("labels") if entry.get("type") == "labels" else None
            if chosen and len(chosen) == 1 and chosen[0] in known:
                entry = {**entry, "from_name": LABEL, "value": {**value, "labels": [str(known[chosen[0]])]}}  # noqa: PLW2901
            result.append(entry)
        annotations.append({**item, "result": result})
    return {**task, "data": data, "annotations": annotations}
