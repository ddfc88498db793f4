"""Labels that are likely wrong: confident learning on out-of-fold predictions, ranked.

Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels" (2021), by cleanlab. The
predictions must come from models that have not seen the page they judge, nor its outlet.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.alignment import count_page
from annotator.errors import InputError, MissingExtraError
from annotator.labelled import LabelledPage
from annotator.metrics import FloatArray, IntArray
from annotator.records import LABELS, Label, ScoredArticle, Span
from annotator.splits import split_by_outlet

Fitted = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A label that is likely wrong, most likely first; ``quality`` is 0 to 1, low is worse.

    ``flagged`` says that confident learning counts it among the errors, not only that it ranks here.
    """

    rank: int
    article_id: str
    span: Span
    text: str
    label: Label
    suggested: Label
    quality: float
    flagged: bool
    task_ids: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "rank": self.rank,
            "article_id": self.article_id,
            "start": self.span.start,
            "end": self.span.end,
            "text": self.text,
            "label": str(self.label),
            "suggested": str(self.suggested),
            "quality": round(self.quality, 4),
            "flagged": self.flagged,
            "task_ids": list(self.task_ids),
        }


def require(what: str = "annotator labels suspects") -> None:
    """Say which extra is missing, before anything long begins.

    Raises:
        MissingExtraError: cleanlab or scikit-learn is not installed.
    """
    for name in ("cleanlab", "sklearn"):
        if importlib.util.find_spec(name) is None:
            raise MissingExtraError(what, "review", name)


def linear_head(features: FloatArray, labels: IntArray, *, seed: int = 0) -> Fitted:
    """Fit a logistic regression on features [n, D]; return the function from features to probabilities [n, 4].

    The features are standardised and brought to 96 principal components at most, so that few pages suffice. A label
    that does not occur gets probability 0.
    """
    from sklearn.decomposition import PCA  # noqa: PLC0415 -- an extra
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    size = min(96, *features.shape)
    steps = (StandardScaler(), PCA(size, random_state=seed), StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
    model = make_pipeline(*steps).fit(features, labels)

    def predict(given: FloatArray) -> FloatArray:
        found = np.zeros((len(given), len(LABELS)))
        found[:, model.classes_] = model.predict_proba(given)
        return found

    return predict


def out_of_fold(
    pages: Sequence[LabelledPage], features: Sequence[NDArray[Any]], *, folds: int = 5, seed: int = 0
) -> list[FloatArray]:
    """Return for each page the probabilities [segments, 4] of a linear head that has not seen its outlet.

    Args:
        pages: labelled pages.
        features: of each page, [segments, D] (see annotator.training.features).
        folds: of outlets; fewer where there are fewer outlets.
        seed: of the split.

    Raises:
        InputError: fewer than two outlets, or all labels of a part are one and the same.
    """
    place = {page.article.article_id: number for number, page in enumerate(pages)}
    out: list[FloatArray] = [np.zeros((0, len(LABELS)))] * len(pages)
    gold = [np.array([LABELS.index(seg.label) for seg in page.segments], dtype=np.int64) for page in pages]
    for part in split_by_outlet(pages, folds=folds, seed=seed):
        held = {place[page.article.article_id] for page in part}
        rest = [number for number in range(len(pages)) if number not in held and len(gold[number])]
        truth = np.concatenate([gold[number] for number in rest])
        if len(np.unique(truth)) < 2:
            raise InputError("the labels of a fold's other pages are all the same: label more pages")
        predict = linear_head(np.concatenate([np.asarray(features[n], dtype=np.float64) for n in rest]), truth)
        for number in held:
            if len(gold[number]):
                out[number] = predict(np.asarray(features[number], dtype=np.float64))
    return out


def page_probabilities(pages: Sequence[LabelledPage], scored: Iterable[ScoredArticle]) -> list[FloatArray]:
    """Return for each page the probabilities [segments, 4] that scored articles give its segments.

    A segment takes the probabilities of the scored segment that covers most of it, or an equal share of each label.

    Raises:
        InputError: a page was not scored, or its text is another one.
    """
    found = {item.article.article_id: item for item in scored}
    out = []
    for page in pages:
        item = found.get(page.article.article_id)
        if item is None or item.article.text != page.article.text:
            what = "is not among the scored articles" if item is None else "was scored with another text"
            raise InputError(f"page {page.article.article_id!r} {what}: score the labelled pages themselves")
        stated = count_page(page, item.segments).probabilities
        out.append(np.where(np.isnan(stated), 1 / len(LABELS), stated))
    return out


def suspects(pages: Sequence[LabelledPage], probabilities: Sequence[FloatArray]) -> list[Suspect]:
    """Rank every labelled segment by how likely its label is wrong, the most likely first.

    Args:
        pages: labelled pages.
        probabilities: of each page, out of fold, [segments, 4] in the order of LABELS.

    Raises:
        InputError: probabilities do not fit the pages, or no page has a segment.
        MissingExtraError: cleanlab is not installed.
    """
    require()
    from cleanlab.filter import find_label_issues  # noqa: PLC0415 -- an extra
    from cleanlab.rank import get_label_quality_scores  # noqa: PLC0415

    if [len(page.segments) for page in pages] != [len(rows) for rows in probabilities]:
        raise InputError("the predictions do not fit the pages: one row of probabilities a segment")
    if not any(page.segments for page in pages):
        raise InputError("no labelled segment to judge: give pages with labels")
    stated = np.concatenate([np.asarray(rows, dtype=np.float64) for rows in probabilities])
    stated = np.clip(stated, 1e-6, None)
    stated /= stated.sum(axis=1, keepdims=True)
    labels = np.array([LABELS.index(seg.label) for page in pages for seg in page.segments], dtype=np.int64)
    used, compact = np.unique(labels, return_inverse=True)  # cleanlab wants every class to occur
    shrunk = stated[:, used] / stated[:, used].sum(axis=1, keepdims=True)
    quality = get_label_quality_scores(compact, shrunk, method="normalized_margin")
    flagged = np.zeros(len(labels), dtype=bool)
    if len(used) > 1:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of labels with few examples: they may go unflagged, and are ranked
            flagged = find_label_issues(compact, shrunk, n_jobs=1)
    places = [(page, seg) for page in pages for seg in page.segments]
    found = []
    for rank, number in enumerate(np.lexsort((np.arange(len(labels)), quality)), start=1):
        page, seg = places[number]
        others = np.where(np.arange(len(LABELS)) == labels[number], -1.0, stated[number])
        tasks = {int(item["task_id"]) for item in page.annotations if item.get("task_id") is not None}
        found.append(
            Suspect(
                rank=rank,
                article_id=page.article.article_id,
                span=seg.span,
                text=seg.span.of(page.article.text),
                label=seg.label,
                suggested=LABELS[int(others.argmax())],
                quality=float(quality[number]),
                flagged=bool(flagged[number]),
                task_ids=tuple(sorted(tasks)),
            )
        )
    return found
