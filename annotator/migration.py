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
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    """What a file would become, and how many labels of each (old, new) change in it.

    ``dropped`` counts what goes with the labels, by kind: a label that nobody speaks in takes no attribution.
    """

    path: Path
    content: bytes
    counts: Mapping[tuple[str, str], int]
    dropped: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The files that change, and one line for each thing to know before they do."""

    changes: tuple[FileChange, ...]
    remarks: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class _Tally:
    """What is counted while one file is gone through; ``used`` are the decisions that a segment had."""

    path: Path
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    used: set[tuple[str, Place]] = field(default_factory=set)


def read_pairs(option: str, given: Iterable[str] | None) -> dict[str, str]:
    """Return LEFT=RIGHT values of a command's option as a mapping.

    Raises:
        InputError: a value is not of that form, or two have the same left side.
    """
    pairs: dict[str, str] = {}
    for item in given or ():
        left, sign, right = item.partition("=")
        if not (left and sign and right):
            raise InputError(f"{option} {item}: write it as LEFT=RIGHT")
        if left in pairs:
            raise InputError(f"{option} {item}: {left} is given already, as {pairs[left]}: give it once")
        pairs[left] = right
    return pairs


def read_decisions(path: Path) -> dict[Place, str]:
    """Read the decisions of a split: CSV with the columns article_id, start, label.

    Raises:
        InputError: it cannot be read, lacks a column, a line has no label or no number as start, or a segment comes
            twice; names the line.
    """
    found: dict[Place, str] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream)
            if missing := {"article_id", "start", "label"} - set(rows.fieldnames or ()):
                raise InputError(f"{path}: no column {', '.join(sorted(missing))}: needs article_id, start and label")
            for row in rows:
                where = f"{path}: line {rows.line_num}"
                label, start = (row["label"] or "").strip(), (row["start"] or "").strip()
                if not label:
                    raise InputError(f"{where}: no label: write the one that this segment gets")
                if not start.isdecimal():
                    raise InputError(f"{where}: start {start!r}: needs the number that the segment starts at")
                place = (row["article_id"], int(start))
                if place in found:
                    raise InputError(f"{where}: the segment at {place[1]} of {place[0]!r} comes twice: decide once")
                found[place] = label
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: decisions are CSV in UTF-8 with article_id, start and label: {error}") from error
    return found


def plan(paths: Iterable[Path], migration: Migration) -> Plan:
    """Return the files that change, with their new content, and what is lost or left over; nothing is written.

    Args:
        paths: .jsonl or .jsonl.gz (labelled pages), .json (gate), .xml (labelling config), or folders of them.
        migration: the change.

    Raises:
        InputError: a file cannot be read or is of another kind, a segment of a split label has no decision, a label
            is both renamed and split, or a change finds nothing to change; names the first.
    """
    if not migration.renames and not migration.splits:
        raise InputError("nothing to change: name labels with --rename OLD=NEW or --split OLD=FILE")
    if both := sorted(set(migration.renames) & set(migration.splits)):
        raise InputError(f"{both[0]}: renamed and split at once: do one of them")
    changes = []
    tallies = []
    for path in dict.fromkeys(file for given in paths for file in _files(given)):
        tally = _Tally(path=path)
        tallies.append(tally)
        try:
            packed = path.name.endswith(".gz")
            text = (gzip.decompress(path.read_bytes()) if packed else path.read_bytes()).decode()
            if ".jsonl" in path.suffixes:
                lines = text.split("\n")
                new = "\n".join(_page(line, migration, tally) if line.strip() else line for line in lines)
            elif path.suffix == ".json":
                new = json.dumps(_gate(json.loads(text), migration, tally.counts), indent=2, ensure_ascii=False) + "\n"
            else:
                new = migrated_config(text, migration, tally.counts)
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
        except (EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: cannot be migrated: {error!r}") from error
        if tally.counts:
            content = gzip.compress(new.encode(), mtime=0) if packed else new.encode()
            changes.append(FileChange(path=path, content=content, counts=tally.counts, dropped=+tally.dropped))
    _refuse_idle(migration, tallies)
    return Plan(changes=tuple(changes), remarks=tuple(_remarks(migration, tallies)))


def _refuse_idle(migration: Migration, tallies: Sequence[_Tally]) -> None:
    """Refuse an old label that nothing bears: it is misspelt, or the change was made already."""
    changed = {old for tally in tallies for old, _ in tally.counts}
    decided = {old for tally in tallies for old, _ in tally.used}
    for option, given, found in (
        ("rename", migration.renames, changed),
        ("split", migration.splits, changed | decided),
    ):
        for old in given:
            if old not in found:
                raise InputError(f"--{option} {old}: no such label to change in the files: look at its spelling")


def _remarks(migration: Migration, tallies: Sequence[_Tally]) -> Iterator[str]:
    for tally in tallies:
        if lost := [f"{count} {kind}" for kind, count in sorted((+tally.dropped).items())]:
            yield f"{tally.path}: {', '.join(lost)} dropped: the new label takes none"
    used = {item for tally in tallies for item in tally.used}
    for old, decisions in migration.splits.items():
        if left := sum((old, place) not in used for place in decisions):
            yield f"--split {old}: {left} of {len(decisions)} decisions match no segment of that label"
    new = {new for tally in tallies for _, new in tally.counts if new}
    if unknown := sorted(new - set(Label)):
        yield (
            f"no label of this version: {', '.join(unknown)}: the pages cannot be read (labels check)"
            " until annotator.records.Label has it (docs/retraining.md)"
        )


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
    names = (".jsonl", ".jsonl.gz", ".json", ".xml")
    found = sorted(path.iterdir()) if path.is_dir() else [path]
    kept = [file for file in found if file.name.endswith(names)]
    if not kept:
        what = "nothing here" if path.is_dir() else "not"
        raise InputError(
            f"{path}: {what} to migrate: needs pages (.jsonl, .jsonl.gz), a gate (.json) or a config (.xml)"
        )
    return kept


def _page(line: str, migration: Migration, tally: _Tally) -> str:
    page = json.loads(line)
    name = page.get("article_id", page.get("doc_id"))
    before = tally.counts.total()
    for group in (page["segments"], *(item.get("segments") or () for item in page.get("annotations") or ())):
        marks = _marks(group)
        for segment in group:
            _segment(segment, (name, segment["start"]), migration, tally)
        if tally.counts.total() != before:
            _unlink(group)
        tally.dropped.update(marks - _marks(group))
    return line if tally.counts.total() == before else json.dumps(page, ensure_ascii=False, separators=(",", ":"))


def _marks(segments: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Count what a label may take with it."""
    found: Counter[str] = Counter()
    for segment in segments:
        said = segment.get("attribution") or {}
        links = (said.get("source_segment"), said.get("antecedent"))
        found["attributions"] += bool(said)
        found["links between segments"] += sum(link is not None for link in links)
        found["unverified marks"] += segment.get("unverified") is not None
    return found


def _segment(segment: dict[str, Any], place: Place, migration: Migration, tally: _Tally) -> None:
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
                where = f"{tally.path}: page {place[0]!r}: segment at {place[1]} {old}"
                raise InputError(f"{where}: no decision: add its line")
            tally.used.add((old, place))
        if new is not None and new != old:
            segment[key] = new
            tally.counts[old, new] += 1
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
