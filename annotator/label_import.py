"""One's own labelled data to labelled pages: CSV of sentence and label, CoNLL, a Label Studio export.

Labels of other names are translated by a map; one that is neither known nor mapped is an error that names the place.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from annotator.errors import InputError, reason
from annotator.files import csv_header, csv_rows
from annotator.labelled import LabelledPage, LabelledSegment
from annotator.labelstudio.config import LABEL, MARK
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
    stated: set[str] = set()
    for number, sentence in _sentences(content):
        where = f"{path}:{number}"
        comments = [line[1:].partition("=") for line in sentence if not _is_token(line)]
        notes = {name.strip(): value.strip() for name, _, value in comments}
        tokens = [_fields(line) for line in sentence if _is_token(line)]
        starts = any(token[0] == "-DOCSTART-" for token in tokens)
        if starts or not notes.keys().isdisjoint(("newdoc", "newdoc id")):
            if draft.pieces:
                yield draft
                count += 1
            given = notes.get("newdoc id")
            if given in stated:
                raise InputError(f"{where}: newdoc id {given!r} comes twice: give each page an id of its own")
            stated |= {given} if given else set()
            draft = _Draft(article_id=given or f"{path.stem}-{count}", outlet=None, pieces=[])
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


def _fields(line: str) -> list[str]:
    return line.split("\t") if "\t" in line else line.split()


def _is_token(line: str) -> bool:
    """Tell a token from a comment: ``#MeToo`` with its tag is one, ``# text = …`` is not."""
    if line[0] != "#":
        return True
    fields = _fields(line)
    if "\t" in line:
        return " " not in fields[0] + fields[-1]
    return fields[-1][:2] in ("B-", "I-") and (len(fields) == 2 or fields[0] != "#")


@dataclass(slots=True)
class _Word:
    """A word as it stands in the text, its tag, and what stands between it and the next."""

    text: str
    tag: str
    glue: str = " "


def _words(tokens: Iterable[list[str]]) -> list[_Word]:
    """Return the words of a sentence; of CoNLL-U the written ones: of ``1-2 du / 1 de / 2 le`` that is ``du``."""
    words: list[_Word] = []
    last = 0  # the last part of a word that is written as one
    for token in tokens:
        found = re.fullmatch(r"(\d+)(?:([-.])(\d+))?", token[0]) if len(token) == 10 else None
        if found is None:
            words.append(_Word(token[0], token[-1]))
        elif found[2] == ".":
            continue  # an empty node: nothing of the text
        elif found[2] is None and int(found[1]) <= last:
            if words[-1].tag[:2] not in ("B-", "I-"):  # the tag may stand on the parts
                words[-1].tag = token[-1]
        else:
            last = int(found[3]) if found[2] == "-" else last
            words.append(_Word(token[1], token[-1], "" if "SpaceAfter=No" in token[9] else " "))
    return words


def _segments(
    tokens: list[list[str]], label: str | None, known: Mapping[str, Label], where: str, *, first: str
) -> Iterator[tuple[str, str, Label]]:
    """Yield (what stands before, text, label) for each run of tokens of a sentence."""
    runs: list[tuple[str, str, Label]] = []
    glue = first
    for word in _words(tokens):
        if label is not None:
            begins, name = not runs, label
        elif word.tag[:2] in ("B-", "I-"):
            name = word.tag[2:]
            begins = word.tag[0] == "B" or not runs or runs[-1][2] is not _label(name, known, where)
        else:
            raise InputError(f"{where}: tag {word.tag!r}: every token is in a segment: use B-LABEL and I-LABEL")
        if begins:
            runs.append((glue, word.text, _label(name, known, where)))
        else:
            before, text, kind = runs[-1]
            runs[-1] = before, text + glue + word.text, kind
        glue = word.glue
    yield from runs


def _from_label_studio(
    path: Path, content: str, known: Mapping[str, Label], outlet: str | None
) -> tuple[list[LabelledPage], list[str]]:
    try:
        tasks = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a Label Studio export in JSON: {error}") from error
    if not isinstance(tasks, list):
        raise InputError(f"{path}: a Label Studio export is a JSON list of tasks: export as JSON")
    read = []
    where = str(path)
    try:
        controls = _label_controls(tasks, known)
        for number, task in enumerate(tasks, start=1):
            where = f"{path}: task {task.get('id', f'number {number}')}"
            read.append(read_task(_own_task(task, known, outlet, controls, where)))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{where}: not as Label Studio exports it in JSON: {reason(error)}") from error
    pages, refused = build_pages(read, {})
    return pages, [f"{item['article_id']}: annotation {item['annotation_id']}: {item['reason']}" for item in refused]


def _label_controls(tasks: Iterable[Mapping[str, Any]], known: Mapping[str, Label]) -> set[str]:
    """Return the names of the controls that give a known label somewhere; where none does, all that give labels."""
    chosen: dict[str, set[str]] = {}
    for task in tasks:
        for item in task.get("annotations") or ():
            for entry in item.get("result") or ():
                if entry.get("type") == "labels" and entry.get("from_name") != MARK:
                    labels = (entry.get("value") or {}).get("labels") or ()
                    chosen.setdefault(str(entry.get("from_name")), set()).update(map(str, labels))
    return {name for name, labels in chosen.items() if labels & known.keys()} or set(chosen)


def _own_task(
    task: Mapping[str, Any], known: Mapping[str, Label], outlet: str | None, controls: set[str], where: str
) -> dict[str, Any]:
    """Give a task that annotator did not push what its own have, and its labels our names."""
    _number(task, where)
    data = dict(task.get("data") or {})
    text = data.get("text")
    if not isinstance(text, str):
        raise InputError(f"{where}: its data has no text under the key 'text', only {_few([*data])}: rename the key")
    if "sent_sha256" not in data:
        data |= {"article_id": str(data.get("article_id") or f"task-{task['id']}"), "altered": {}}
        data |= {"text_sha256": sha256(text), "sent_sha256": sha256(text)}
    data["outlet"] = data.get("outlet") or outlet or ""
    annotations = []
    for number, item in enumerate(task.get("annotations") or (), start=1):
        place = f"{where}: annotation {item.get('id', f'number {number}')}"
        _number(item, place)
        result = []
        for entry in item.get("result") or ():
            if entry.get("type") == "labels" and entry.get("from_name") in controls and not item.get("was_cancelled"):
                value = entry.get("value") or {}
                labels = [str(_label(str(name), known, place)) for name in value.get("labels") or ()]
                entry = {**entry, "from_name": LABEL, "value": {**value, "labels": labels}}  # noqa: PLW2901
            result.append(entry)
        annotations.append({**item, "result": result})
    return {**task, "data": data, "annotations": annotations}


def _number(item: Mapping[str, Any], where: str) -> None:
    if not isinstance(item.get("id"), int):
        raise InputError(f"{where}: its key 'id' is {item.get('id')!r}: give it the number that Label Studio gave it")
