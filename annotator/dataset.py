"""Labelled pages: problems, splits by whole outlet, leakage, digest and counts.

The values and the reading and writing of them live in :mod:`annotator.labelled` and are offered here too.
No message names a page's text: ids, outlets, offsets and labels only.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from annotator.duplicates import NEAR_DUPLICATE_SHARE, SHINGLE_WORDS, shingles
from annotator.errors import RecordError, reason
from annotator.labelled import (
    CODEBOOK,
    LabelledPage,
    LabelledSegment,
    Split,
    attribution_spans,
    parse_segments,
    read_items,
    read_pages,
    write_pages,
)
from annotator.merging import ORIGINS, origins
from annotator.records import LABELS, SOURCE_TYPES, Attribution, Label, SourceType, check_spans
from annotator.splits import outlet_families, outlet_key, split_by_outlet, split_groups

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "LabelledPage",
    "LabelledSegment",
    "Split",
    "Stats",
    "StatsRow",
    "check",
    "check_paths",
    "digest",
    "leakage",
    "outlet_families",
    "outlet_key",
    "read_pages",
    "split_by_outlet",
    "split_groups",
    "stats",
    "write_pages",
]

LENGTH_QUANTILES = {"min": 0.0, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95, "max": 1.0}

_SPEAKING = (Label.REPORTED_CLAIM, Label.ATTRIBUTED_QUOTE)
_ORIGINS = ("drawn", "kept", "changed", None)


def check_paths(*paths: Path) -> list[str]:
    """Return all problems of the pages in ``paths``, one line each: lines that are no page, then :func:`check`.

    Raises:
        InputError: a path cannot be read, or a folder has no ``*.jsonl``.
    """
    items = list(read_items(paths))
    broken = [str(item) for item in items if isinstance(item, RecordError)]
    where = " + ".join(str(path) for path in paths)
    return broken + check([item for item in items if isinstance(item, LabelledPage)], where=where)


def check(pages: Sequence[LabelledPage], *, where: str, before: Sequence[LabelledPage] = ()) -> list[str]:
    """Return every problem of ``pages``, one line each, opened by ``where`` and the page; empty when all is well.

    ``before`` is an earlier state of the same pages (for instance the last commit): the split is frozen, so a
    page that changed side since then, and a gate page that is gone or whose text changed, is a problem.
    """
    found: list[str] = []
    for page in pages:
        found += [f"{where}: page {page.article.article_id!r}: {problem}" for problem in _page_problems(page)]
    ids = Counter(page.article.article_id for page in pages)
    found += [f"{where}: article_id {key!r} stands for {n} pages: ids are unique" for key, n in ids.items() if n > 1]
    sides = {side: [page for page in pages if page.split == side] for side in ("train", "gate")}
    found += [f"{where}: {problem}" for problem in leakage(sides["train"], sides["gate"])]
    now = {page.article.article_id: page for page in pages}
    for old in before:
        new = now.get(old.article.article_id)
        head = f"{where}: page {old.article.article_id!r}: "
        if new is None:
            found += [f"{head}a gate page is gone: the gate is frozen, restore it"] if old.split == "gate" else []
        elif old.split is not None and new.split != old.split:
            found.append(f"{head}was on the side {old.split!r}, now {new.split!r}: the split is frozen, restore it")
        elif old.split == "gate" and new.article.text != old.article.text:
            found.append(f"{head}the text of a gate page changed: the gate is frozen, restore it")
    return found


def _page_problems(page: LabelledPage) -> list[str]:
    text = page.article.text
    found: list[str] = []
    if page.codebook != CODEBOOK:
        found.append(f"codebook {page.codebook}: this version knows {CODEBOOK}")
    if page.split not in ("train", "gate", None):
        found.append(f"split {page.split!r}: use 'train', 'gate' or null")
    if page.split is not None and not outlet_key(page.article.outlet or ""):
        found.append("has a split but no outlet: the split goes by outlet, name it")
    found += _segment_problems(page.segments, text)
    for index, item in enumerate(page.annotations):
        head = f"annotation {index}: "
        if not item.get("annotator") or "@" in str(item["annotator"]):
            found.append(f"{head}'annotator' is missing or an e-mail address: give a pseudonym")
        for seg in item.get("segments") or ():
            if seg.get("origin") not in _ORIGINS:
                found.append(f"{head}origin {seg['origin']!r}: use drawn, kept, changed or null")
        found += [f"{head}{problem}" for problem in _annotated_problems(item.get("segments") or (), text)]
    return found


def _annotated_problems(items: Sequence[Mapping[str, Any]], text: str) -> list[str]:
    """Return what is wrong with the segments of one annotation; one that was skipped or left empty has none."""
    try:
        return _segment_problems(parse_segments(items, text), text) if items else []
    except RecordError as error:
        return [str(error)]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return [f"not a list of segments: {reason(error)}"]


def _segment_problems(segments: Sequence[LabelledSegment], text: str) -> list[str]:
    found: list[str] = []
    try:
        check_spans(text, [seg.span for seg in segments], where="segments")
    except RecordError as error:
        found.append(str(error))
    for index, seg in enumerate(segments):
        head = f"segment {index} [{seg.span.start}, {seg.span.end}) {seg.label}: "
        if seg.label not in LABELS:
            found.append(f"{head}unknown label: use one of {', '.join(LABELS)}")
        if seg.also is not None and (seg.also not in LABELS or seg.also == seg.label):
            found.append(f"{head}also {seg.also!r}: a second reader's label is a known one and differs")
        if not seg.span.of(text).strip():
            found.append(f"{head}covers nothing but white space: drop it")
        if seg.unverified is not None and seg.label not in _SPEAKING:
            found.append(f"{head}unverified is for {' and '.join(_SPEAKING)} only: use null")
        if (att := seg.attribution) is None:
            continue
        if seg.label not in _SPEAKING:
            found.append(f"{head}takes no attribution (codebook, part 2): drop it")
        found += [f"{head}{problem}" for problem in _link_problems(index, att, segments)]
        if att.source is None and att.cue is None and att.source_segment is None:
            what = "no mark at all" if att.source_type is None else "source_type without source or cue"
            found.append(f"{head}{what}: mark the words, or drop the attribution")
        for name, span in attribution_spans(att):
            inside = seg.span.start <= span.start and span.end <= seg.span.end
            if name != "antecedent" and not inside:
                found.append(f"{head}{name} [{span.start}, {span.end}) lies outside the segment: move it")
            if span.end > len(text):
                found.append(f"{head}{name} [{span.start}, {span.end}) ends past the text: move it")
    return found


def _link_problems(index: int, att: Attribution, segments: Sequence[LabelledSegment]) -> list[str]:
    """Return what is wrong with what an attribution takes from another segment."""
    found: list[str] = []
    if (target := att.source_segment) is not None:
        held = segments[target].attribution if 0 <= target < len(segments) else None
        if target == index or held is None or held.source is None:
            found.append(f"source_segment {target}: name another segment, one that holds a source")
        if att.source is not None:
            found.append(f"source_segment {target} beside a source of its own: keep one")
    if att.antecedent is not None and att.source is None:
        found.append("antecedent without a source that stands for it: drop it")
    return found


def leakage(train: Sequence[LabelledPage], gate: Sequence[LabelledPage]) -> list[str]:
    """Return what the two sides share, one line each: outlets, identical texts, near-duplicates.

    Near-duplicates share at least 30 % of the word 8-grams (shingles; Broder, "On the resemblance and containment
    of documents", 1997) of the page that has fewer of them.
    """
    found: list[str] = []
    families = outlet_families(page.article.outlet for page in (*train, *gate))
    sides: dict[str, tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
    for index, side in enumerate((train, gate)):
        for page in side:
            if page.article.outlet is not None:
                sides[families[page.article.outlet]][index].add(page.article.outlet)
    for left, right in sides.values():
        if left and right:
            found.append(f"outlet on both sides: {sorted(left)} in train, {sorted(right)} in gate: move one side")
    held = {id(page): shingles(page.article.text) for page in (*train, *gate)}
    holders: dict[str, list[LabelledPage]] = defaultdict(list)
    for page in gate:
        for shingle in held[id(page)]:
            holders[shingle].append(page)
    gate_texts = defaultdict(list)
    for page in gate:
        gate_texts[" ".join(page.article.text.split())].append(page)
    for page in train:
        mine = page.article.article_id
        same = gate_texts.get(" ".join(page.article.text.split()), [])
        found += [f"same text: {mine!r} in train, {twin.article.article_id!r} in gate: drop one" for twin in same]
        shared: Counter[int] = Counter(id(other) for s in held[id(page)] for other in holders.get(s, ()))
        for other in gate:
            if not shared[id(other)] or other in same:
                continue
            rate = shared[id(other)] / min(len(held[id(page)]), len(held[id(other)]))
            if rate >= NEAR_DUPLICATE_SHARE:
                found.append(
                    f"near-duplicate: {mine!r} in train, {other.article.article_id!r} in gate "
                    f"share {rate:.0%} of their {SHINGLE_WORDS}-grams: drop one"
                )
    return found


def digest(pages: Iterable[LabelledPage]) -> str:
    """Return the SHA-256 (hex) of the pages' ids, texts and true labels with their attributions and weights.

    Neither the order of the pages nor the layout of their files matters; split, genre, remarks of a second reader
    (``also``) and annotations stand outside.
    """
    lines = []
    for page in pages:
        segments = []
        for seg in page.segments:
            att = seg.attribution
            marks: dict[str, Any] = {}
            if att is not None:
                marks = {name: [span.start, span.end] for name, span in attribution_spans(att)}
                marks |= {"source_type": att.source_type, "source_segment": att.source_segment}
            weight = [] if seg.weight == 1 else [seg.weight]  # labels without annotations keep their digest
            segments.append([seg.span.start, seg.span.end, str(seg.label), marks, seg.unverified, *weight])
        record = [page.article.article_id, page.article.text_sha256, segments]
        lines.append(json.dumps(record, sort_keys=True, separators=(",", ":")))
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsRow:
    """Counts of one group of pages: ``kind`` is ``all``, ``split`` or ``genre``; ``length`` is in characters."""

    kind: str
    name: str
    pages: int
    outlets: int
    segments: int
    labels: Mapping[Label, int]
    unverified: int
    sources: int
    cues: int
    source_types: Mapping[SourceType, int]
    length: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Counts of labelled pages: all, then each split, then each genre, the largest first.

    ``origins`` counts segments by how their label came about (:func:`annotator.merging.origins`).
    """

    digest: str
    rows: tuple[StatsRow, ...]
    origins: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        names = StatsRow.__dataclass_fields__
        plain = [{name: getattr(row, name) for name in names} for row in self.rows]
        rows = [{k: dict(v) if isinstance(v, Mapping) else v for k, v in row.items()} for row in plain]
        return {"digest": self.digest, "rows": rows, "origins": dict(self.origins)}

    def table(self) -> list[list[str]]:
        """Return a header and one list of cells a row."""
        head = ["group", "pages", "outlets", "segments", *LABELS, "sources", "cues", *SOURCE_TYPES, *LENGTH_QUANTILES]
        body = [
            [
                row.name if row.kind == "all" else f"{row.kind} {row.name}",
                *map(str, (row.pages, row.outlets, row.segments, *row.labels.values(), row.sources, row.cues)),
                *map(str, (*row.source_types.values(), *row.length.values())),
            ]
            for row in self.rows
        ]
        return [head, *body]


def stats(pages: Sequence[LabelledPage]) -> Stats:
    """Count pages, outlets (families), segments a label, attributions and segment lengths, by split and genre."""
    groups: list[tuple[str, str, list[LabelledPage]]] = [("all", "all", list(pages))]
    for kind in ("split", "genre"):
        by_name: dict[str, list[LabelledPage]] = defaultdict(list)
        for page in pages:
            by_name[getattr(page, kind) or "-"].append(page)
        ordered = sorted(by_name.items(), key=lambda item: (-len(item[1]), item[0]))
        groups += [(kind, name, members) for name, members in ordered]
    found = Counter(origin for page in pages for origin in origins(page))
    return Stats(
        digest=digest(pages),
        rows=tuple(_row(*group) for group in groups),
        origins={name: found[name] for name in ORIGINS},
    )


def _row(kind: str, name: str, pages: Sequence[LabelledPage]) -> StatsRow:
    segments = [seg for page in pages for seg in page.segments]
    marks = [seg.attribution for seg in segments if seg.attribution is not None]
    labels = Counter(seg.label for seg in segments)
    types = Counter(mark.source_type for mark in marks)
    lengths = sorted(seg.span.end - seg.span.start for seg in segments) or [0]
    return StatsRow(
        kind=kind,
        name=name,
        pages=len(pages),
        outlets=len(set(outlet_families(page.article.outlet for page in pages).values()) - {""}),
        segments=len(segments),
        labels={label: labels[label] for label in LABELS},
        unverified=sum(seg.unverified is True for seg in segments),
        sources=sum(mark.source is not None for mark in marks),
        cues=sum(mark.cue is not None for mark in marks),
        source_types={kind: types[kind] for kind in SOURCE_TYPES},
        length={key: lengths[round(q * (len(lengths) - 1))] for key, q in LENGTH_QUANTILES.items()},
    )
