"""Tasks as the server gives them to labelled pages, and to what cannot be used with its reason: pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from annotator.dataset import check
from annotator.errors import RecordError
from annotator.labelled import CODEBOOK, LabelledPage
from annotator.labelstudio.anchor import ReadResult, ReadSegment, read_result
from annotator.labelstudio.config import COMMENT
from annotator.labelstudio.convert import RegionId, article_of
from annotator.labelstudio.regions import Refusal
from annotator.merging import merge
from annotator.records import Article, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAnnotation:
    """One annotation: its record for the labelled page and, where it can be used, its segments."""

    record: Mapping[str, Any]
    segments: tuple[ReadSegment, ...]

    @property
    def order(self) -> tuple[str, int]:
        """When it was last touched; the id decides between equals."""
        return str(self.record["updated_at"]), int(self.record["annotation_id"])


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadTask:
    """A task with what people made of it; ``quarantine`` holds what cannot be used."""

    task_id: int
    article: Article | None
    annotations: tuple[ReadAnnotation, ...]
    quarantine: tuple[Mapping[str, Any], ...]


def pseudonym(user: Any, annotation_id: Any = None) -> str:
    """Return the name under which a user's work is kept: their number on the server, never an e-mail address.

    Exports may hold an address alone: a digest of it is the name. Without either, each annotation counts as of a
    person of its own (``annotation_id``), so that no vote replaces another.
    """
    key = (user.get("id") or user.get("email")) if isinstance(user, Mapping) else user
    if isinstance(key, int):
        return f"annotator-{key}"
    if isinstance(key, str) and key.strip():
        return f"annotator-{hashlib.sha256(key.strip().lower().encode('utf-8', 'replace')).hexdigest()[:12]}"
    return "annotator-unknown" if annotation_id is None else f"annotator-unknown-{annotation_id}"


def read_task(task: Mapping[str, Any]) -> ReadTask:
    """Read a task with its annotations, in the order of their ids; nothing is raised: see ``quarantine``."""
    found = sorted(task.get("annotations") or (), key=lambda item: int(item["id"]))
    data = task.get("data") or {}
    try:
        article = article_of(data)
    except RecordError as error:
        refused = [_refused(task, item, str(error)) for item in found]
        return ReadTask(task_id=task["id"], article=None, annotations=(), quarantine=tuple(refused))
    annotations, quarantine = [], []
    for item in found:
        result = item.get("result") or ()
        try:
            read = _skipped(result) if item.get("was_cancelled") else read_result(result, data["text"])
        except Refusal as error:
            quarantine.append(_refused(task, item, str(error)))
        else:
            annotations.append(ReadAnnotation(record=_record(task, item, article, read), segments=read.segments))
    return ReadTask(task_id=task["id"], article=article, annotations=tuple(annotations), quarantine=tuple(quarantine))


def _skipped(result: Sequence[Mapping[str, Any]]) -> ReadResult:
    """Read what was skipped: the comment, and which predictions were shown; nothing of it is refused."""
    comments: list[str] = []
    for item in result:
        value = item.get("value")
        if item.get("from_name") == COMMENT and isinstance(value, Mapping):
            text = value.get("text") or ()
            comments += [text] if isinstance(text, str) else map(str, text)
    shown = (RegionId.parse(str(item.get("id"))) for item in result)
    versions = Counter(found.model_version for found in shown if found is not None).most_common()
    names = tuple(name for name, _ in sorted(versions, key=lambda pair: (-pair[1], pair[0])))
    return ReadResult(segments=(), comment="\n".join(comments) or None, model_versions=names, marks_dropped=0)


def _refused(task: Mapping[str, Any], item: Mapping[str, Any], reason: str) -> dict[str, Any]:
    return {
        "article_id": (task.get("data") or {}).get("article_id"),
        "task_id": task["id"],
        "annotation_id": item["id"],
        "annotator": pseudonym(item.get("completed_by"), item["id"]),
        "created_at": item.get("created_at"),
        "updated_at": item.get("updated_at"),
        "lead_time": item.get("lead_time"),
        "skipped": bool(item.get("was_cancelled")),
        "reason": reason,
        "result": item.get("result"),
    }


def _record(task: Mapping[str, Any], item: Mapping[str, Any], art: Article, read: ReadResult) -> dict[str, Any]:
    segments, versions = read.segments, read.model_versions
    origins = Counter(seg.origin for seg in segments)
    return {
        "annotator": pseudonym(item.get("completed_by"), item["id"]),
        "created_at": item.get("created_at"),
        "lead_time": item.get("lead_time"),
        "codebook": CODEBOOK,
        "model_version": versions[0] if versions else None,
        "task_id": task["id"],
        "comment": read.comment,
        "segments": [_segment_record(seg, art.text) for seg in segments],
        "annotation_id": item["id"],
        "updated_at": item.get("updated_at"),
        "prediction_id": item.get("parent_prediction"),
        "skipped": bool(item.get("was_cancelled")),
        "ground_truth": bool(item.get("ground_truth")),
        "accepted": bool(segments) and origins["kept"] == len(segments),
        "discuss": [[seg.span.start, seg.span.end] for seg in segments if seg.discuss],
        "notes": [
            {"start": seg.span.start, "end": seg.span.end, "note": note} for seg in segments for note in seg.notes
        ],
        "marks_dropped": read.marks_dropped,
    }


def _segment_record(seg: ReadSegment, text: str) -> dict[str, Any]:
    said = seg.attribution

    def span(value: Span | None) -> dict[str, Any] | None:
        return None if value is None else {"start": value.start, "end": value.end, "text": value.of(text)}

    attribution = None
    if said is not None:
        attribution = {
            "source": span(said.source),
            "cue": span(said.cue),
            "source_type": None if said.source_type is None else str(said.source_type),
            "source_segment": said.source_segment,
            "antecedent": span(said.antecedent),
            "anonymity_reason": span(said.anonymity_reason),
        }
    return {
        "start": seg.span.start,
        "end": seg.span.end,
        "label": str(seg.label),
        "attribution": attribution,
        "unverified": seg.unverified,
        "origin": seg.origin,
    }


# --- tasks to pages ----------------------------------------------------------------------------------------------


def build_pages(
    tasks: Iterable[ReadTask], previous: Mapping[str, LabelledPage]
) -> tuple[list[LabelledPage], list[dict[str, Any]]]:
    """Return one page an article with at least one usable annotation, and the quarantine; both sorted.

    Tasks that show the same text are one page. Where an article's text changed, the task pushed last counts and the
    older annotations go to the quarantine. ``previous`` keeps what was decided about a page elsewhere: its split,
    genre, topic and features; and the codebook of annotations that nobody touched since.
    """
    by_article: dict[str, list[ReadTask]] = {}
    quarantine: list[dict[str, Any]] = []
    for task in tasks:
        quarantine += [dict(item) for item in task.quarantine]
        if task.article is not None and task.annotations:
            by_article.setdefault(task.article.article_id, []).append(task)
    pages = []
    for key, group in by_article.items():
        page, refused = _page(sorted(group, key=lambda t: t.task_id), previous.get(key))
        quarantine += refused
        if page is not None:
            pages.append(page)
    pages.sort(key=lambda p: p.article.article_id)
    quarantine.sort(key=lambda item: (str(item["article_id"]), item["task_id"], item["annotation_id"]))
    return pages, quarantine


def _page(tasks: Sequence[ReadTask], previous: LabelledPage | None) -> tuple[LabelledPage | None, list[dict[str, Any]]]:
    article = tasks[-1].article
    assert article is not None
    refused: list[dict[str, Any]] = []
    kept: list[ReadAnnotation] = []
    for task in tasks:
        if task.article is not None and task.article.text == article.text:
            kept += task.annotations
        else:
            reason = f"the article's text changed since: task {tasks[-1].task_id} shows the new one"
            refused += [_aside(item.record, article.article_id, reason) for item in task.annotations]
    before = {_touched(item): item["codebook"] for item in (previous.annotations if previous else ())}
    kept = [
        replace(item, record={**item.record, "codebook": before.get(_touched(item.record), CODEBOOK)}) for item in kept
    ]
    usable = [item for item in kept if item.segments]
    if not usable:
        reason = "skipped by everyone who opened it"
        return None, refused + [_aside(item.record, article.article_id, reason) for item in kept]
    page = LabelledPage(
        article=article,
        split=previous.split if previous else None,
        genre=previous.genre if previous else None,
        topic=previous.topic if previous else None,
        features=previous.features if previous else None,
        segments=merge([item.record for item in usable], article.text),
        annotations=tuple(item.record for item in kept),
    )
    if problems := check([replace(page, split=None)], where="pull"):
        return None, refused + [_aside(item.record, article.article_id, problems[0]) for item in kept]
    return page, refused


def _touched(record: Mapping[str, Any]) -> tuple[Any, Any]:
    return record.get("annotation_id"), record.get("updated_at")


def _aside(record: Mapping[str, Any], article_id: str, reason: str) -> dict[str, Any]:
    names = ("task_id", "annotation_id", "annotator", "created_at", "updated_at", "lead_time", "skipped", "comment")
    entry = {"article_id": article_id} | {name: record[name] for name in names}
    return entry | {"reason": reason, "result": record["segments"]}
