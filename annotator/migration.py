"""Rename, merge or split a label across files: labelled pages, the gate's floors, a labelling config. Dry run, backup.

Files are read as they are, not through :mod:`annotator.records`: a label may be of before or after the change. The
four labels that this version knows stand in ``annotator.records.Label``; a new name must be entered there too.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annotator.errors import InputError
from annotator.records import Label

_SPEAKING = (Label.REPORTED_CLAIM, Label.ATTRIBUTED_QUOTE)
Place = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """What becomes of labels: ``renames`` old to new (several old to one new: a merge); ``splits`` by segment.

    ``splits`` maps an old label to the new one of each place (article_id, start); every segment of it needs one.
    """

    renames: Mapping[str, str] = field(default_factory=dict)
    splits: Mapping[str, Mapping[Place, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """What a file would become, and how many labels of each (old, new) change in it."""

    path: Path
    content: bytes
    counts: Mapping[tuple[str, str], int]


def read_pairs(option: str, given: Iterable[str] | None) -> dict[str, str]:
    """Return LEFT=RIGHT values of a command's option as a mapping.

    Raises:
        InputError: a value is not of that form.
    """
    pairs = {}
    for item in given or ():
        left, sign, right = item.partition("=")
        if not (left and sign and right):
            raise InputError(f"{option} {item}: write it as LEFT=RIGHT")
        pairs[left] = right
    return pairs


def read_decisions(path: Path) -> dict[Place, str]:
    """Read the decisions of a split: CSV with the columns article_id, start, label.

    Raises:
        InputError: it cannot be read, or lacks a column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return {(row["article_id"], int(row["start"])): row["label"] for row in csv.DictReader(stream)}
    except (OSError, UnicodeDecodeError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise InputError(f"{path}: decisions are CSV with article_id, start and label: {error!r}") from error


def plan(paths: Iterable[Path], migration: Migration) -> list[FileChange]:
    """Return the files that change, with their new content; nothing is written.

    Args:
        paths: .jsonl or .jsonl.gz (labelled pages), .json (gate), .xml (labelling config), or folders of them.
        migration: the change.

    Raises:
        InputError: a file cannot be read, or a segment of a split label has no decision; names the first.
    """
    changes = []
    for path in (file for given in paths for file in _files(given)):
        counts: Counter[tuple[str, str]] = Counter()
        try:
            packed = path.name.endswith(".gz")
            text = (gzip.decompress(path.read_bytes()) if packed else path.read_bytes()).decode()
            if ".jsonl" in path.suffixes:
                lines = text.split("\n")
                new = "\n".join(_page(line, migration, counts, path) if line.strip() else line for line in lines)
            elif path.suffix == ".json":
                new = json.dumps(_gate(json.loads(text), migration, counts), indent=2, ensure_ascii=False) + "\n"
            else:
                new = migrated_config(text, migration, counts)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: cannot be migrated: {error!r}") from error
        if counts:
            content = gzip.compress(new.encode(), mtime=0) if packed else new.encode()
            changes.append(FileChange(path=path, content=content, counts=counts))
    return changes


def apply(changes: Iterable[FileChange], *, suffix: str = ".before") -> list[Path]:
    """Write the changes, each file whole; what was there stands beside it. Return the backups.

    Raises:
        InputError: a backup is there already (nothing is written then), or a file cannot be written.
    """
    todo = list(changes)
    backups = [change.path.with_name(change.path.name + suffix) for change in todo]
    if there := [path for path in backups if path.exists()]:
        raise InputError(f"{there[0]}: a backup of an earlier migration: move it away first")
    try:
        for change, backup in zip(todo, backups, strict=True):
            shutil.copy2(change.path, backup)
        for change in todo:
            temporary = change.path.with_name(f".{change.path.name}.new")
            temporary.write_bytes(change.content)
            temporary.replace(change.path)
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be written ({error.strerror}): restore the backups") from error
    return backups


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    names = (".jsonl", ".jsonl.gz", ".json", ".xml")
    return sorted(file for file in path.iterdir() if file.name.endswith(names))


def _page(line: str, migration: Migration, counts: Counter[tuple[str, str]], path: Path) -> str:
    page = json.loads(line)
    name = page.get("article_id", page.get("doc_id"))
    before = counts.total()
    for group in (page["segments"], *(item.get("segments") or () for item in page.get("annotations") or ())):
        for segment in group:
            _segment(segment, (name, segment["start"]), migration, counts, path)
        if counts.total() != before:
            _unlink(group)
    return line if counts.total() == before else json.dumps(page, ensure_ascii=False, separators=(",", ":"))


def _segment(
    segment: dict[str, Any], place: Place, migration: Migration, counts: Counter[tuple[str, str]], path: Path
) -> None:
    for key in ("label", "also"):
        old = segment.get(key)
        if isinstance(old, list):
            old = old[0]
        if not isinstance(old, str):
            continue
        new = migration.renames.get(old)
        if old in migration.splits:
            new = migration.splits[old].get(place)
            if new is None:
                raise InputError(f"{path}: page {place[0]!r}: segment at {place[1]} {old}: no decision: add its line")
        if new is not None and new != old:
            segment[key] = new
            counts[old, new] += 1
    if segment.get("also") == segment["label"]:
        segment["also"] = None
    if segment["label"] in set(Label) - set(_SPEAKING):  # these take no attribution
        for key in ("attribution", "unverified"):
            if segment.get(key) is not None:
                segment[key] = None


def _unlink(segments: Sequence[dict[str, Any]]) -> None:
    """Drop what points to a source that went with its label."""
    said = [segment.get("attribution") or {} for segment in segments]
    places = {_ends(one["source"]) for one in said if one.get("source")}
    for segment, one in zip(segments, said, strict=True):
        target, name = one.get("source_segment"), one.get("antecedent")
        if target is not None and not (0 <= target < len(said) and said[target].get("source")):
            one["source_segment"] = None
            if not one.get("cue"):
                one["source_type"] = None
        if name and _ends(name) not in places:
            one["antecedent"] = None
        if one and not (one.get("source") or one.get("cue") or one.get("source_segment") is not None):
            segment["attribution"] = None


def _ends(span: Mapping[str, int] | Sequence[int]) -> tuple[int, int]:
    return (span["start"], span["end"]) if isinstance(span, Mapping) else (span[0], span[1])


def _gate(value: Any, migration: Migration, counts: Counter[tuple[str, str]]) -> Any:
    """Rename keys and values that are a label; of floors that merge, the lower one stays; a split label's go."""
    if isinstance(value, list):
        return [_gate(item, migration, counts) for item in value]
    if isinstance(value, str) and value in migration.renames:
        counts[value, migration.renames[value]] += 1
        return migration.renames[value]
    if not isinstance(value, dict):
        return value
    out: dict[str, Any] = {}
    for key, item in value.items():
        if key in migration.splits:
            counts[key, ""] += 1
            continue
        new, inner = migration.renames.get(key, key), _gate(item, migration, counts)
        if new != key:
            counts[key, new] += 1
        both = isinstance(out.get(new), int | float) and isinstance(inner, int | float)
        out[new] = min(out[new], inner) if both else inner
    return out


def migrated_config(text: str, migration: Migration, counts: Counter[tuple[str, str]] | None = None) -> str:
    """Rename the aliases of labels, which results store, and the conditions on them, in a labelling config (XML)."""
    seen = Counter() if counts is None else counts

    def swap(match: re.Match[str]) -> str:
        names = match[3].split(",")
        new = [migration.renames.get(name, name) for name in names]
        seen.update((old, now) for old, now in zip(names, new, strict=True) if old != now)
        return f"{match[1]}={match[2]}{','.join(dict.fromkeys(new))}{match[2]}"

    return re.sub(r"""\b(alias|whenLabelValue)\s*=\s*(["'])([^"']*)\2""", swap, text)
