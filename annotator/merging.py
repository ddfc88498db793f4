"""Several annotators of one page to one truth, what stays undecided, and how much each segment weighs in training.

The truth is the majority a segment, one vote a person. Dawid and Skene's model (1979) was weighed and left: with two or
three annotators a page, and most segments accepted as the model showed them, it estimates each person's errors from
agreement that the shown prediction made. What a majority cannot decide goes to a person instead: ties, and what
somebody marked "À discuter". In Label Studio the star (ground truth) on an annotation decides the page.

Everything here is derived from the stored annotations (labels/README.md); nothing of it is stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from annotator.labelled import LabelledPage, LabelledSegment
from annotator.records import LABELS, Attribution, Label, Span

Origin = Literal["written", "drawn", "changed", "kept", "undecided", "decided"]
ORIGINS: tuple[Origin, ...] = ("written", "drawn", "changed", "kept", "undecided", "decided")
_SPEAKING = (Label.REPORTED_CLAIM, Label.ATTRIBUTED_QUOTE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """What one person made of a page, last: segments, how each came about, and what they want discussed.

    ``origins`` is parallel to ``segments`` (drawn, changed, kept, or None where it is not known); ``decides`` says
    that this annotation was starred as the decision.
    """

    annotator: str
    segments: tuple[LabelledSegment, ...]
    origins: tuple[str | None, ...]
    discuss: tuple[Span, ...] = ()
    decides: bool = False
    shown: str | None = None
    updated_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecided:
    """A segment that needs a person's decision: ``tie`` or ``discuss``, with each annotator's label."""

    article_id: str
    span: Span
    reason: Literal["tie", "discuss"]
    labels: Mapping[str, Label]
    task_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentWeights:
    """How much a segment weighs in training, by how its label came about; all others weigh 1.

    ``kept``: everybody who chose the label left it as the model showed it. Such labels are biased towards the model
    (anchoring; `annotator labels agreement` measures it), and say less than a correction.
    """

    kept: float = 0.5
    undecided: float = 0.0


def read_votes(annotations: Iterable[Mapping[str, Any]], text: str) -> list[Vote]:
    """Return the last usable annotation of each person, the one touched last at the end; skips are left out.

    Raises:
        RecordError: a segment is not one of this text.
    """
    last: dict[str, Vote] = {}
    for item in sorted(annotations, key=_order):
        if not item.get("segments") or item.get("skipped"):
            continue
        name = str(item.get("annotator"))
        page = LabelledPage.from_dict({"article_id": "annotation", "text": text, "segments": item["segments"]})
        last.pop(name, None)
        last[name] = Vote(
            annotator=name,
            segments=page.segments,
            origins=tuple(segment.get("origin") for segment in item["segments"]),
            discuss=tuple(Span(start, end) for start, end in item.get("discuss") or ()),
            decides=bool(item.get("ground_truth")),
            shown=item.get("model_version"),
            updated_at=str(item.get("updated_at") or item.get("created_at") or ""),
        )
    return list(last.values())


def _order(item: Mapping[str, Any]) -> tuple[str, int]:
    return str(item.get("updated_at") or item.get("created_at") or ""), int(item.get("annotation_id") or 0)


def covering(span: Span, vote: Vote, text: str) -> tuple[LabelledSegment, str | None] | None:
    """Return the segment of ``vote`` that decides its label for ``span``, and how it came about; None: no vote.

    The label is the one that covers most of the span's characters (white space aside; the first of LABELS among
    equals), the segment the first with that label that covers most.
    """
    covered: Counter[Label] = Counter()
    held: dict[Label, tuple[int, int]] = {}
    for index, other in enumerate(vote.segments):
        low, high = max(span.start, other.span.start), min(span.end, other.span.end)
        if low >= high:
            continue
        size = len("".join(text[low:high].split()))
        covered[other.label] += size
        if other.label not in held or size > held[other.label][0]:
            held[other.label] = size, index
    if not covered:
        return None
    label = max((label for label in LABELS if label in held), key=lambda name: covered[name])
    index = held[label][1]
    return vote.segments[index], vote.origins[index]


def merge(annotations: Iterable[Mapping[str, Any]], text: str) -> tuple[LabelledSegment, ...]:
    """Return one truth of several annotations, one a person (their last): the majority on the latest one's segments.

    A starred annotation is the truth as it stands. Else a vote of another annotator for a segment is the label that
    covers most of its characters; a tie goes to the latest annotation (see :func:`undecided`), and what lost stands
    in ``also``. Empty without a usable annotation.
    """
    votes = read_votes(annotations, text)
    if not votes:
        return ()
    if decided := [vote for vote in votes if vote.decides]:
        return decided[-1].segments
    *others, base = votes
    return _with_whole_links([_voted(seg, base, others, text) for seg in base.segments])


def _voted(seg: LabelledSegment, base: Vote, others: Sequence[Vote], text: str) -> LabelledSegment:
    found = [(held[0], vote) for vote in others if (held := covering(seg.span, vote, text)) is not None]
    votes = Counter([seg.label, *(other.label for other, _ in found)])
    best = max(votes.values())
    winner = seg.label if votes[seg.label] == best else next(label for label in LABELS if votes[label] == best)
    rest = [label for label in LABELS if votes[label] and label is not winner]
    also = max(rest, key=lambda label: votes[label]) if rest else None
    if winner is seg.label:
        return replace(seg, also=also)
    same = next((held for held in reversed(found) if held[0].span == seg.span and held[0].label is winner), None)
    if same is None or winner not in _SPEAKING:
        return LabelledSegment(span=seg.span, label=winner, also=also)
    other, vote = same
    return replace(other, attribution=_renumbered(other.attribution, vote, base), also=also)


def _renumbered(said: Attribution | None, vote: Vote, base: Vote) -> Attribution | None:
    """Let a carried source point to the same segment among those of another annotation; none is none."""
    if said is None or said.source_segment is None:
        return said
    target = vote.segments[said.source_segment].span if 0 <= said.source_segment < len(vote.segments) else None
    return replace(said, source_segment=next((i for i, s in enumerate(base.segments) if s.span == target), None))


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


def undecided(page: LabelledPage) -> list[Undecided]:
    """Return the segments of a page that a majority does not decide, in order; none once somebody has decided.

    A decision that itself asks for discussion leaves those segments undecided.
    """
    votes = read_votes(page.annotations, page.article.text)
    decided = [vote for vote in votes if vote.decides]
    counted = decided[-1:] or votes
    tasks = sorted({int(item["task_id"]) for item in page.annotations if item.get("task_id") is not None})
    found = []
    for seg in page.segments:
        labels = {
            vote.annotator: held[0].label
            for vote in counted
            if (held := covering(seg.span, vote, page.article.text)) is not None
        }
        ranked = Counter(labels.values()).most_common(2)
        reason: Literal["tie", "discuss"] | None = None
        if len(ranked) == 2 and ranked[0][1] == ranked[1][1]:
            reason = "tie"
        elif any(_meet(seg.span, span) for vote in counted for span in vote.discuss):
            reason = "discuss"
        if reason is not None:
            item = Undecided(
                article_id=page.article.article_id, span=seg.span, reason=reason, labels=labels, task_ids=tuple(tasks)
            )
            found.append(item)
    return found


def _meet(first: Span, second: Span) -> bool:
    return first.start < second.end and second.start < first.end


def origins(page: LabelledPage) -> list[Origin]:
    """Say of each segment of a page how its label came about.

    ``written``: directly, without annotations (or none that covers it). ``decided``: by the starred annotation.
    ``undecided``: see :func:`undecided`. Otherwise by those who chose the label: ``changed`` or ``drawn`` where one
    of them did so, ``kept`` where all left what the model showed.
    """
    text = page.article.text
    votes = read_votes(page.annotations, text)
    open_spans = {item.span for item in undecided(page)}
    decided = any(vote.decides for vote in votes)
    found: list[Origin] = []
    for seg in page.segments:
        held = [item for vote in votes if (item := covering(seg.span, vote, text)) is not None]
        for_it = {origin for other, origin in held if other.label is seg.label}
        if seg.span in open_spans:
            found.append("undecided")
        elif not held:
            found.append("written")
        elif decided:
            found.append("decided")
        elif for_it == {"kept"}:
            found.append("kept")
        else:
            found.append("changed" if "changed" in for_it else "drawn")
    return found


def weighted(page: LabelledPage, weights: SegmentWeights) -> LabelledPage:
    """Return the page with the weight of each segment; a page without annotations is returned as it is."""
    if not page.annotations:
        return page
    table = {"kept": weights.kept, "undecided": weights.undecided}
    pairs = zip(page.segments, origins(page), strict=True)
    return replace(page, segments=tuple(replace(seg, weight=table.get(origin, 1.0)) for seg, origin in pairs))
