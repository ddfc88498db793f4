"""Train variants of the recipe and score each: what every choice gives, on held-out outlets or on gate pages.

    python scripts/compare_training.py --own labels/train.jsonl --press REAL/train.jsonl --gate REAL/gate.jsonl
        --run runs/compare [--fold 0] [--show-gate] VARIANT…

A variant is one of those below, or NAME:SETTING=VALUE,… for settings of scripts/train.py. With ``--fold K``, outlets
of fold K of the press pages are held out and scored: settings are chosen there. Without it, a variant trains on all
pages and is scored on the gate pages: for rows of a table, never for a choice. A variant whose weights stand in
``--run`` is not trained again. Several names before ``@`` average weights: ``mean@ref+seed2``.

Scores are those of the float32 graph on gold boundaries; prints a Markdown table, ids and scores only.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.classifier import SegmentClassifier
from annotator.dataset import LabelledPage, LabelledSegment, read_pages
from annotator.errors import AnnotatorError
from annotator.evaluation import Evaluation, ScorePage, evaluate
from annotator.pipeline import score
from annotator.records import Article, ScoredArticle, Span
from annotator.registry import Calibration, write_manifest
from annotator.segmentation import segment
from annotator.splits import split_by_outlet
from annotator.training.base import load_base
from annotator.training.export import export_onnx
from annotator.training.fit import Hardware, TrainConfig, fit
from annotator.training.model import SegmentTagger, read_weights
from annotator.training.recipe import train_config, without_gate_outlets

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Pages to train on (``own``, ``press`` or ``both``), each segment alone or in its page, changed settings."""

    data: str = "both"
    alone: bool = False
    changes: tuple[str, ...] = ()


ALONE = ("windows.max_tokens=128", "windows.title_tokens=0", "windows.position_marks=false", "windows.context_tokens=0")
VARIANTS = {
    "ref": Variant(),
    "alone": Variant(alone=True, changes=ALONE),
    "own": Variant(data="own"),
    "press": Variant(data="press"),
    "no-attribution": Variant(changes=("loss.tags=0", "loss.source_types=0")),
    "no-break-marks": Variant(changes=("windows.break_marks=false",)),
    "no-open-marks": Variant(changes=("windows.open_marks=false",)),
    "no-position": Variant(changes=("windows.position_marks=false",)),
    "no-title": Variant(changes=("windows.title_tokens=0",)),
    "frozen-table": Variant(changes=("train_embeddings=false",)),
    "weighted": Variant(changes=("class_weight_power=0.5",)),
}


def variant(name: str) -> Variant:
    """Return the variant that a word of the command line names.

    Raises:
        AnnotatorError: no such variant, and no settings with it.
    """
    known, colon, changes = name.partition(":")
    if not colon and known not in VARIANTS:
        raise AnnotatorError(f"{name}: no such variant: use one of {', '.join(VARIANTS)}, or NAME:SETTING=VALUE")
    found = VARIANTS.get(known, Variant())
    return replace(found, changes=(*found.changes, *changes.split(","))) if colon else found


def one_by_one(pages: Sequence[LabelledPage]) -> list[LabelledPage]:
    """Return every segment as a page of its own, without title or attribution."""
    out = []
    for page in pages:
        for index, seg in enumerate(page.segments):
            text = seg.span.of(page.article.text)
            article = Article(article_id=f"{page.article.article_id}-{index}", text=text, outlet=page.article.outlet)
            alone = LabelledSegment(span=Span(0, len(text)), label=seg.label)
            out.append(replace(page, article=article, segments=(alone,), annotations=()))
    return out


def train(name: str, pages: Sequence[LabelledPage], folder: Path, args: argparse.Namespace) -> TrainConfig:
    """Train one variant unless its weights stand there; return its configuration."""
    what = variant(name)
    config = train_config([change for change in what.changes if change])
    if not (folder / "model.safetensors").is_file():
        began = time.monotonic()
        fit(one_by_one(pages) if what.alone else pages, load_base(args.base), config, folder,
            hardware=Hardware(compile=args.compile))  # fmt: skip
        print(f"{name}: {len(pages)} pages, {time.monotonic() - began:.0f} s", file=sys.stderr)
    return config


def scorer(folders: Sequence[Path], config: TrainConfig, base: str, *, alone: bool, temporary: Path) -> ScorePage:
    """Return a page scorer over the mean of the weights in ``folders``."""
    loaded = load_base(base)
    model = SegmentTagger(loaded.encoder, config.loss, local=config.local)
    read_weights(model, [folder / "model.safetensors" for folder in folders])
    export_onnx(model.eval(), temporary / "model.onnx", quantisation="none")
    loaded.tokenizer.save(str(temporary / "tokenizer.json"))
    write_manifest(temporary, config.windows, Calibration(), {})
    classifier = SegmentClassifier(temporary)

    def score_page(article: Article, spans: Sequence[Span] | None) -> ScoredArticle:
        if not alone:
            return score(article, classifier, spans=spans)
        parts = []
        for span in segment(article.text) if spans is None else spans:
            text = span.of(article.text)
            piece = score(replace(article, text=text, title=None), classifier, spans=[Span(0, len(text))])
            parts.append(replace(piece.segments[0], span=span, attribution=None))
        return ScoredArticle(article=article, model_version=classifier.version, segments=tuple(parts))

    return score_page


def row(name: str, result: Evaluation) -> str:
    """Return a row of the table."""
    gold = result.gold
    cells = [name, str(gold.macro_f1), *(str(scores.f1) for scores in gold.labels.values())]
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Train what is missing, score, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="+", metavar="VARIANT")
    parser.add_argument("--own", type=Path, nargs="+", required=True, help="labelled pages written for the project")
    parser.add_argument("--press", type=Path, nargs="+", required=True, help="labelled pages of the press")
    parser.add_argument("--gate", type=Path, nargs="+", required=True, help="pages whose outlets never train")
    parser.add_argument("--fold", type=int, help="hold out this fold (of 5) of the press outlets and score it")
    parser.add_argument("--show-gate", action="store_true", help="with --fold: score the gate pages too")
    parser.add_argument("--run", type=Path, required=True, help="folder for weights and checkpoints")
    parser.add_argument("--base", default="models/base")
    parser.add_argument("--compile", action="store_true", help="compile the encoder (needs a C++ compiler)")
    parser.add_argument("--train-only", action="store_true", help="leave the weights, score nothing")
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        gate = read_pages(*args.gate)
        own, press = (without_gate_outlets(read_pages(*paths), gate) for paths in (args.own, args.press))
        folds = split_by_outlet(press, folds=5, seed=7)
        held = [] if args.fold is None else folds[args.fold]
        aside = {page.article.article_id for page in held}
        kept = [page for page in press if page.article.article_id not in aside]
        pages = {"own": own, "press": kept, "both": own + kept}
        print("| variant | macro-F1 [95 %] | reported | quote | framing | boilerplate |\n|---|---|---|---|---|---|")
        for name in args.variants:
            names = name.partition("@")[2].split("+") if "@" in name else [name]
            folders = [args.run / f"{'all' if args.fold is None else f'fold{args.fold}'}" / one for one in names]
            for one, folder in zip(names, folders, strict=True):
                config = train(one, pages[variant(one).data], folder, args)
            if args.train_only:
                continue
            with tempfile.TemporaryDirectory() as temporary:
                scored_by = scorer(folders, config, args.base, alone=variant(names[0]).alone, temporary=Path(temporary))
                for title, test in (("held out", held), ("gate", gate if not held or args.show_gate else [])):
                    if test:
                        print(row(f"{name}, {title}", evaluate(test, scored_by)), flush=True)
    except AnnotatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
