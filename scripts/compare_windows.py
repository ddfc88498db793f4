"""What other windows would cost and give: tokens computed for each token of the pages, and macro-F1, of one version.

    tail -n 100 labels/train.jsonl > runs/unseen.jsonl
    python scripts/compare_windows.py --pages runs/unseen.jsonl --windows 384/64 384/32 384/0 256/32 [--fast]

A setting is the longest window and the context on each side, in tokens. Time goes by the tokens computed (and a little
by the square of a window's). Choose on pages that the version was not trained on, never on gate pages. Scores are on
gold boundaries, the interval is by resampling articles; prints a Markdown table, figures only.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from annotator.classifier import SegmentClassifier
from annotator.dataset import read_pages
from annotator.errors import AnnotatorError, InputError
from annotator.evaluation import evaluate
from annotator.pipeline import score
from annotator.segmentation import breaks
from annotator.windows import WindowConfig, encode, plan

SHORTEST, LONGEST = 64, 512  # room for the title and a segment; the positions of the encoder


def setting(windows: WindowConfig, given: str) -> WindowConfig:
    """Return ``windows`` with the longest window and the context of a word of the command line.

    Raises:
        InputError: it is not two whole numbers, or the window too short or too long.
    """
    longest, _, context = given.partition("/")
    if not (longest.isdecimal() and context.isdecimal()):
        raise InputError(f"--windows {given}: two whole numbers are expected, as in 384/64")
    if not SHORTEST <= int(longest) <= LONGEST:
        raise InputError(f"--windows {given}: windows of {SHORTEST} to {LONGEST} tokens are compared")
    return replace(windows, max_tokens=int(longest), context_tokens=int(context))


def main() -> int:
    """Score the pages with each setting, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=Path, nargs="+", required=True)
    parser.add_argument("--windows", nargs="+", required=True, metavar="TOKENS/CONTEXT")
    parser.add_argument("--models", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--fast", action="store_true")
    args = parser.parse_args()
    try:
        pages = read_pages(*args.pages)
        classifier = SegmentClassifier.load(args.models, args.model, fast=args.fast)
        own = classifier.manifest
        settings = {given: setting(own.windows, given) for given in args.windows}
        print(f"{classifier.version}, {len(pages)} pages, {sum(len(page.segments) for page in pages)} segments\n")
        print("| longest / context | tokens computed for one of the page | macro-F1 [95 %] |\n|---|---|---|")
        for given, windows in settings.items():
            classifier.manifest = replace(own, windows=windows)
            computed = held = 0
            for page in pages:
                text, spans = page.article.text, [segment.span for segment in page.segments]
                kinds = breaks(text, spans)
                encoded = encode(text, spans, kinds, classifier.tokenizer, windows, title=page.article.title)
                held += sum(map(len, encoded.ids))
                computed += sum(window.input_ids.size for window in plan(encoded, windows))
            found = evaluate(pages, lambda article, spans: score(article, classifier, spans=spans))
            print(f"| {given} | {computed / held:.2f} | {found.gold.macro_f1} |", flush=True)
    except AnnotatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
