"""Tasks as the server gives them to labelled pages, and to what cannot be used with its reason: pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from annotator.dataset import check
from annotator.errors import RecordError
from annotator.labelled import CODEBOOK, LabelledPage, LabelledSegment
from annotator.labelstudio.anchor import SPEAKING, ReadResult, ReadSegment, read_result
from annotator.labelstudio.convert import article_of
from annotator.labelstudio.regions import Refusal
from annotator.records import Article, Attribution, Label, Span


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


def pseudonym(user: Any) -> str:
    """Return the name under which a user's work is kept: their number on the server, never an e-mail address."""
    number = user.get("id") if isinstance(user, Mapping) else user
    return f"annotator-{number}" if isinstance(number, int) else "annotator-unknown"


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
        try:
            read = None if item.get("was_cancelled") else read_result(item.get("result") or (), data["text"])
        except Refusal as error:
            quarantine.append(_refused(task, item, str(error)))
        else:
            record = _record(task, item, article, read)
            annotations.append(ReadAnnotation(record=record, segments=() if read is None else read.segments))
    return ReadTask(task_id=task["id"], article=article, annotations=tuple(annotations), quarantine=tuple(quarantine))


def _refused(task: Mapping[str, Any], item: Mapping[str, Any], reason: str) -> dict[str, Any]:
    return {
        "article_id": (task.get("data") or {}).get("article_id"),
        "task_id": task["id"],
        "annotation_id": item["id"],
        "annotator": pseudonym(item.get("completed_by")),
        "updated_at": item.get("updated_at"),
        "reason": reason,
        "result": item.get("result"),
    }


def _record(task: Mapping[str, Any], item: Mapping[str, Any], art: Article, read: ReadResult | None) -> dict[str, Any]:
    segments = () if read is None else read.segments
    versions = () if read is None else read.model_versions
    origins = Counter(seg.origin for seg in segments)
    return {
        "annotator": pseudonym(item.get("completed_by")),
        "created_at": item.get("created_at"),
        "lead_time": item.get("lead_time"),
        "codebook": CODEBOOK,
        "model_version": versions[0] if versions else None,
        "task_id": task["id"],
        "comment": None if read is None else read.comment,
        "segments": [_segment_record(seg, art.text) for seg in segments],
        "annotation_id": item["id"],
        "updated_at": item.get("updated_at"),
        "prediction_id": item.get("parent_prediction"),
        "skipped": bool(item.get("was_cancelled")),
        "accepted": bool(segments) and origins["kept"] == len(segments),
        "discuss": [[seg.span.start, seg.span.end] for seg in segments if seg.discuss],
        "notes": [
            {"start": seg.span.start, "end": seg.span.end, "note": note} for seg in segments for note in seg.notes
        ],
        "marks_dropped": 0 if read is None else read.marks_dropped,
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
    genre, topic and features.
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
        segments=merged(usable, article.text),
        annotations=tuple(item.record for item in kept),
    )
    if problems := check([replace(page, split=None)], where="pull"):
        return None, refused + [_aside(item.record, article.article_id, problems[0]) for item in kept]
    return page, refused


def _aside(record: Mapping[str, Any], article_id: str, reason: str) -> dict[str, Any]:
    names = ("task_id", "annotation_id", "annotator", "updated_at")
    entry = {"article_id": article_id} | {name: record[name] for name in names}
    return entry | {"reason": reason, "result": record["segments"]}


def merged(annotations: Sequence[ReadAnnotation], text: str) -> tuple[LabelledSegment, ...]:
    """Return one truth of several annotations, one a person (the last): majority on the segments of the latest.

    A vote of another annotator for a segment is the label that covers most of its characters; a tie goes to the
    latest annotation, and what lost stands in ``also``.
    """
    last: dict[str, ReadAnnotation] = {}
    for item in sorted(annotations, key=lambda a: a.order):
        last.pop(item.record["annotator"], None)
        last[item.record["annotator"]] = item
    *others, base = last.values()
    return _with_whole_links([_voted(seg, base, others, text) for seg in base.segments])


def _with_whole_links(segments: Sequence[LabelledSegment]) -> tuple[LabelledSegment, ...]:
    """Drop what points to a source that the vote has taken away."""
    sources = {
        index: seg.attribution.source
        for index, seg in enumerate(segments)
        if seg.attribution is not None and seg.attribution.source is not None
    }
    names = set(sources.values())
    kept = []
    for seg in segments:
        said = seg.attribution
        if said is not None and said.source_segment is not None and said.source_segment not in sources:
            said = replace(said, source_segment=None, source_type=said.source_type if said.cue else None)
        if said is not None and said.antecedent not in names:
            said = replace(said, antecedent=None)
        nobody = said is None or (said.source is None and said.cue is None and said.source_segment is None)
        kept.append(replace(seg, attribution=None if nobody else said))
    return tuple(kept)


def _voted(seg: ReadSegment, base: ReadAnnotation, others: Sequence[ReadAnnotation], text: str) -> LabelledSegment:
    votes = Counter({seg.label: 1})
    for item in others:
        if (label := _covering_label(seg.span, item.segments, text)) is not None:
            votes[label] += 1
    best = max(votes.values())
    winner = seg.label if votes[seg.label] == best else next(label for label in Label if votes[label] == best)
    rest = [label for label in Label if votes[label] and label is not winner]
    chosen: ReadSegment | None = seg if winner is seg.label else None
    attribution: Attribution | None = None if chosen is None else chosen.attribution
    if chosen is None:
        same = ((s, item) for item in reversed(others) for s in item.segments if s.span == seg.span)
        if (match := next(((s, item) for s, item in same if s.label is winner), None)) is not None:
            chosen = match[0]
            attribution = _renumbered(chosen.attribution, match[1], base)
    if winner not in SPEAKING:
        attribution = None
    return LabelledSegment(
        span=seg.span,
        label=winner,
        attribution=attribution,
        unverified=chosen.unverified if chosen is not None and winner in SPEAKING else None,
        also=max(rest, key=lambda label: votes[label]) if rest else None,
    )


def _renumbered(said: Attribution | None, item: ReadAnnotation, base: ReadAnnotation) -> Attribution | None:
    """Let a carried source point to the same segment among those of another annotation; none is none."""
    if said is None or said.source_segment is None:
        return said
    target = item.segments[said.source_segment].span
    return replace(said, source_segment=next((i for i, s in enumerate(base.segments) if s.span == target), None))


def _covering_label(span: Span, segments: Sequence[ReadSegment], text: str) -> Label | None:
    covered: Counter[Label] = Counter()
    for other in segments:
        low, high = max(span.start, other.span.start), min(span.end, other.span.end)
        if low < high:
            covered[other.label] += len("".join(text[low:high].split()))
    return max(Label, key=lambda label: covered[label]) if covered else None
