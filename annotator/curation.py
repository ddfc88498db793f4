"""From labelled pages to a training set: sides, what is left out and why, weights, one codebook, lineage."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from annotator.dataset import digest
from annotator.duplicates import near_duplicates
from annotator.errors import InputError
from annotator.labelled import LabelledPage, Split
from annotator.merging import ORIGINS, SegmentWeights, origins, weighted
from annotator.splits import outlet_families


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRules:
    """How a training set is made; saved with the run.

    ``allow`` accepts labels of several codebooks side by side.
    """

    weights: SegmentWeights = field(default_factory=SegmentWeights)
    allow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSet:
    """Pages to train on, weighted, and where they come from.

    ``left_out`` maps a reason to the ids of the pages it keeps out. ``origins`` counts the segments of ``pages`` by how
    their label came about. ``lineage`` holds one line for each annotation that went in (article, task, annotation,
    annotator, when it was last touched), and for each page without annotations. ``digest`` stands for the pages with
    their weights.
    """

    pages: tuple[LabelledPage, ...]
    left_out: Mapping[str, tuple[str, ...]]
    origins: Mapping[str, int]
    codebooks: tuple[int, ...]
    lineage: tuple[Mapping[str, Any], ...]
    digest: str

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, without the pages themselves."""
        return {
            "digest": self.digest,
            "pages": len(self.pages),
            "segments": sum(len(page.segments) for page in self.pages),
            "origins": dict(self.origins),
            "codebooks": list(self.codebooks),
            "left_out": {reason: list(ids) for reason, ids in self.left_out.items()},
            "lineage": [dict(item) for item in self.lineage],
        }


def codebooks(pages: Iterable[LabelledPage]) -> Counter[int]:
    """Count pages by the codebook their labels follow: each annotation's, or the page's own without annotations."""
    found: Counter[int] = Counter()
    for page in pages:
        stated = {item["codebook"] for item in page.annotations if item.get("codebook") is not None}
        found.update(stated or {page.codebook})
    return found


def check_codebooks(pages: Iterable[LabelledPage], *, allow: bool = False) -> tuple[int, ...]:
    """Return the codebooks of the pages, in order.

    Raises:
        InputError: there are several, and ``allow`` is not set.
    """
    found = codebooks(pages)
    if len(found) > 1 and not allow:
        counts = ", ".join(f"{count} pages of codebook {version}" for version, count in sorted(found.items()))
        raise InputError(f"labels of several codebooks: {counts}: migrate the older ones, or add --allow")
    return tuple(sorted(found))


def placed(pages: Sequence[LabelledPage], frozen: Iterable[LabelledPage]) -> list[LabelledPage]:
    """Return the pages with their side: what is decided stays; a new page follows its outlet, else it is ``train``.

    ``frozen`` are the pages whose side holds (labels/); an outlet (family) with a page on the side ``gate`` there puts
    every new page of its own on that side, so that no outlet ever changes it.
    """
    before = list(frozen)
    families = outlet_families(page.article.outlet for page in (*pages, *before))
    gate = {families[page.article.outlet] for page in (*before, *pages) if page.split == "gate"} - {""}
    out = []
    for page in pages:
        side: Split = "gate" if families[page.article.outlet] in gate else "train"
        out.append(page if page.split is not None else replace(page, split=side))
    return out


def training_set(
    pages: Iterable[LabelledPage], *, gate: Iterable[LabelledPage] = (), rules: DatasetRules | None = None
) -> TrainingSet:
    """Apply the dataset rules to labelled pages; the same set of pages gives the same training set, in order of ids.

    Args:
        pages: every page there is, those of the side ``gate`` included.
        gate: further pages that only measure (real/gate): their outlets and near-duplicates of them do not train.
        rules: weights, and whether several codebooks may be mixed.

    Raises:
        InputError: several codebooks without ``allow``, or nothing is left to train on.
        MissingExtraError: datasketch is not installed.
    """
    how = rules or DatasetRules()
    aside = list(gate)
    everything = placed(sorted(pages, key=lambda page: page.article.article_id), aside)
    families = outlet_families(page.article.outlet for page in (*everything, *aside))
    closed = {page.article.article_id for page in everything if page.split == "gate"}
    measuring = [*aside, *(page for page in everything if page.split == "gate")]
    closed_families = {families[page.article.outlet] for page in measuring}
    measured = {page.article.article_id for page in measuring}
    names = {page.article.article_id for page in everything}
    twins: set[str] = set()
    for pair in near_duplicates({page.article.article_id: page for page in (*everything, *aside)}.values()):
        twins |= {one for one, other in ((pair.first, pair.second), (pair.second, pair.first)) if other in measured}
    left: dict[str, list[str]] = {}
    kept = []
    for page in everything:
        name = page.article.article_id
        reason = None
        if name in closed or name in measured:
            reason = "on the side gate"
        elif families[page.article.outlet] in closed_families:
            reason = "of an outlet that stands in the gate"
        elif name in twins:
            reason = "near-duplicate of a gate page"
        if reason is None:
            kept.append(weighted(page, how.weights))
        else:
            left.setdefault(reason, []).append(name)
    if not kept:
        raise InputError(f"of {len(names)} pages none is left to train on: label pages of outlets outside the gate")
    counts = Counter(origin for page in kept for origin in origins(page))
    return TrainingSet(
        pages=tuple(kept),
        left_out={reason: tuple(ids) for reason, ids in sorted(left.items())},
        origins={name: counts[name] for name in ORIGINS},
        codebooks=check_codebooks(kept, allow=how.allow),
        lineage=tuple(item for page in kept for item in _lineage(page)),
        digest=digest(kept),
    )


def _lineage(page: LabelledPage) -> list[dict[str, Any]]:
    name = page.article.article_id
    labels = hashlib.sha256(json.dumps(page.to_dict()["segments"], sort_keys=True).encode()).hexdigest()[:16]
    known = ("annotation_id", "task_id", "annotator", "updated_at", "model_version")
    used = [item for item in page.annotations if item.get("segments") and not item.get("skipped")]
    return [{"article_id": name, "labels": labels} | {key: item.get(key) for key in known} for item in used or ({},)]
