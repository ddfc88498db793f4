"""Score three baselines on labelled pages, with the measures that the model is scored with.

    python scripts/evaluate_baselines.py --train LABELLED… --test LABELLED… [--json OUT]

- majority: the most frequent label of the training pages;
- quotation marks: attributed_quote where a pair of quotation marks holds three words or more, else reported_claim;
- TF-IDF: each segment alone, words (1-2) and characters (2-5), logistic regression; C by cross-validation over whole
  outlets of the training pages, never on a test page.

The figures are those on gold boundaries; the table also gives the macro-F1 on the segmentation of the annotator.
Training pages of an outlet that is in a test file, and near-duplicates of a test page, are dropped and counted.
Needs scikit-learn (the extra ``train``). Prints a Markdown table; ids and scores only, never a page's text.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion

from annotator import metrics
from annotator.dataset import LabelledPage, leakage, outlet_families, read_pages, split_by_outlet
from annotator.errors import AnnotatorError
from annotator.evaluation import Evaluation, evaluate
from annotator.records import LABELS, Article, Label, ScoredArticle, ScoredSegment, Span
from annotator.segmentation import segment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from annotator.evaluation import ScorePage

    # From the texts of a page's segments to probabilities [segments, labels].
    Predict = Callable[[Sequence[str]], np.ndarray]

FOLDS = 4
STRENGTHS = (0.25, 1.0, 4.0, 16.0)
QUOTED = re.compile(r"«([^»]*)»|“([^”]*)”|\"([^\"]*)\"")
WORD = re.compile(r"\w+")
TERM = r"\w+|[^\w\s]"


def main() -> int:
    """Run the baselines; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", nargs="+", type=Path, required=True, metavar="LABELLED")
    parser.add_argument("--test", nargs="+", type=Path, required=True, metavar="LABELLED", help="each scored by itself")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write every score to this file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resamples", type=int, default=1000)
    arguments = parser.parse_args()
    try:
        tests = {f"{path.parent.name}/{path.name}": read_pages(path) for path in arguments.test}
        train = without_leaks(read_pages(*arguments.train), [page for pages in tests.values() for page in pages])
        baselines = build(train, seed=arguments.seed)
        results = {
            name: [evaluate(pages, scorer, seed=arguments.seed, resamples=arguments.resamples) for scorer in baselines]
            for name, pages in tests.items()
        }
    except AnnotatorError as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(markdown(results)))
    if arguments.json:
        plain = {name: {one.model_version: one.to_dict() for one in row} for name, row in results.items()}
        arguments.json.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    return 0


def without_leaks(train: Sequence[LabelledPage], test: Sequence[LabelledPage]) -> list[LabelledPage]:
    """Drop training pages that share an outlet or much of their text with a test page; print how many."""
    families = outlet_families(page.article.outlet for page in (*train, *test))
    taken = {families[page.article.outlet] for page in test}
    kept = [page for page in train if families[page.article.outlet] not in taken]
    clean = [page for page in kept if not leakage([page], test)] if leakage(kept, test) else kept
    print(
        f"train: {len(clean)} pages, {sum(len(page.segments) for page in clean)} segments; dropped "
        f"{len(train) - len(kept)} of outlets in the test, {len(kept) - len(clean)} near-duplicates\n"
    )
    return clean


def build(train: Sequence[LabelledPage], *, seed: int) -> list[ScorePage]:
    """Return the baselines as page scorers, fitted on ``train``."""
    counts = Counter(seg.label for page in train for seg in page.segments)
    shares = np.array([counts[label] for label in LABELS]) / counts.total()
    strength = choose_strength(train, seed=seed)
    return [
        scorer("majority", lambda texts: np.tile(shares, (len(texts), 1))),
        scorer("quotation-marks", lambda texts: np.array([one_hot(by_quotation_marks(text)) for text in texts])),
        scorer(f"tfidf-lr-C{strength:g}", fit(train, strength)),
    ]


def scorer(name: str, predict: Predict) -> ScorePage:
    """Make a page scorer of a function from texts to probabilities."""

    def score(article: Article, spans: Sequence[Span] | None) -> ScoredArticle:
        cut = segment(article.text) if spans is None else spans
        table = predict([span.of(article.text) for span in cut]) if cut else ()
        segments = tuple(
            ScoredSegment(
                span=span,
                label=LABELS[int(np.argmax(row))],
                confidence=float(np.max(row)),
                probabilities={label: float(p) for label, p in zip(LABELS, row, strict=True)},
                needs_review=False,
            )
            for span, row in zip(cut, table, strict=True)
        )
        return ScoredArticle(article=article, model_version=name, segments=segments)

    return score


def by_quotation_marks(text: str) -> Label:
    """Judge a segment by its quotation marks alone."""
    inside = ("".join(match.groups(default="")) for match in QUOTED.finditer(text))
    return Label.ATTRIBUTED_QUOTE if any(len(WORD.findall(part)) >= 3 for part in inside) else Label.REPORTED_CLAIM


def one_hot(label: Label) -> list[float]:
    """Return probabilities that are all on one label."""
    return [float(label == other) for other in LABELS]


def features() -> FeatureUnion:
    """Return the two bags: words in lower case, characters as they stand (capitals tell headlines and names)."""
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=TERM)
    characters = TfidfVectorizer(analyzer="char", ngram_range=(2, 5), min_df=3, sublinear_tf=True, lowercase=False)
    return FeatureUnion([("words", words), ("characters", characters)], n_jobs=1)


def examples(pages: Sequence[LabelledPage]) -> tuple[list[str], list[int]]:
    """Return the text of every segment and the index of its label."""
    texts = [seg.span.of(page.article.text) for page in pages for seg in page.segments]
    return texts, [LABELS.index(seg.label) for page in pages for seg in page.segments]


def regression(strength: float) -> LogisticRegression:
    """Return an unfitted classifier."""
    # A tolerance of 1e-3 stops too early (a warm start even at once); 1e-5 changes nothing but the time.
    return LogisticRegression(C=strength, max_iter=1000, tol=1e-4)


def choose_strength(train: Sequence[LabelledPage], *, seed: int) -> float:
    """Return the C of the best macro-F1, pooled over folds of whole outlets of the training pages."""
    parts = split_by_outlet(train, seed=seed, folds=FOLDS)
    matrices = {strength: np.zeros((len(LABELS), len(LABELS) + 1)) for strength in STRENGTHS}
    for held_out in parts:
        texts, truth = examples([page for part in parts if part is not held_out for page in part])
        held_texts, held_truth = examples(held_out)
        bag = features()
        rows, held_rows = bag.fit_transform(texts), bag.transform(held_texts)
        for strength in STRENGTHS:
            found = regression(strength).fit(rows, truth).predict(held_rows)
            matrices[strength] += metrics.confusion(held_truth, found, classes=len(LABELS))
    scores = {strength: float(metrics.macro_f1(matrix)) for strength, matrix in matrices.items()}
    listed = ", ".join(f"C={strength:g} {score:.3f}" for strength, score in scores.items())
    print(f"macro-F1 by cross-validation over outlets of train ({FOLDS} folds): {listed}\n")
    return max(scores, key=scores.__getitem__)


def fit(train: Sequence[LabelledPage], strength: float) -> Predict:
    """Fit the bags and the regression; return the function from texts to probabilities."""
    texts, truth = examples(train)
    bag, model = features(), regression(strength)
    model.fit(bag.fit_transform(texts), truth)
    columns = [int(index) for index in model.classes_]

    def predict(batch: Sequence[str]) -> np.ndarray:
        table = np.zeros((len(batch), len(LABELS)))
        table[:, columns] = model.predict_proba(bag.transform(batch))
        return table

    return predict


def markdown(results: dict[str, list[Evaluation]]) -> list[str]:
    """Return the lines of a table, a row a test file and baseline, then the signatures."""
    head = ["test", "baseline", "macro-F1 [95 %]", "accuracy", *(f"F1 {label}" for label in LABELS), "ECE"]
    rows = [
        [
            name,
            one.model_version,
            str(one.gold.macro_f1),
            f"{one.gold.accuracy.value:.3f}",
            *(str(scores.f1) for scores in one.gold.labels.values()),
            f"{one.gold.calibration.ece:.3f}",
            str(one.own.macro_f1),
        ]
        for name, row in results.items()
        for one in row
    ]
    table: list[list[Any]] = [[*head, "macro-F1, own segmentation"], ["---"] * (len(head) + 1), *rows]
    signatures = [f"- `{one.gold.signature}`" for row in results.values() for one in row]
    failures = [f"- {name}: {one.model_version} failed on {one.gold.failed + one.own.failed}"
                for name, row in results.items() for one in row if one.gold.failed or one.own.failed]  # fmt: skip
    return [*(f"| {' | '.join(cells)} |" for cells in table), "", *signatures, *failures]


if __name__ == "__main__":
    sys.exit(main())
