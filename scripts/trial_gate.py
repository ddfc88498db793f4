"""Does the gate let harmless retrainings pass and refuse harmful ones? Retrainings by the dozen, with a small encoder.

    python scripts/trial_gate.py --run runs/trial [--gate-data REAL/gate.jsonl] [--runs 10] [--warm-start]

A champion is trained on the train pages of labels/ with the first layers of models/base, and the floors are pinned to
it. Then as many retrainings that differ from it only in the seed, and as many with a share of `editorial_framing`
relabelled `reported_claim` in the training pages. Each goes through export and gate as in scripts/retrain.py, but for
speed (the machine is ours alone in no trial) and calibration (none is fitted: --held-out-folds 1 fits one, at twice
the time; without it the ceiling of the calibration error is 0.1). With --warm-start they go on from the champion's
weights, as `retrain.py --warm-start` does; else they start from the base. Finished retrainings are read, cut ones go
on. Prints a Markdown table; no page's text.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from annotator.errors import AnnotatorError

try:
    import annotator.training  # noqa: F401 - says what is missing
except AnnotatorError as missing:
    sys.exit(f"error: {missing}")

from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedTokenizerFast

from annotator.classifier import SegmentClassifier
from annotator.dataset import LabelledPage, read_pages
from annotator.gate import Verdict, judge, measure, megabytes
from annotator.gatefile import (
    GateFile,
    GateSet,
    Limits,
    SetResult,
    gate_path,
    gate_sets,
    read_gate,
    set_result,
    updated,
)
from annotator.records import Label
from annotator.registry import Calibration, replace_text
from annotator.training.base import load_base
from annotator.training.calibrate import facts, fit_calibration
from annotator.training.fit import Hardware
from annotator.training.publish import publish
from annotator.training.recipe import WEIGHTS, Recipe, hold_out, train, train_config, without_gate_outlets


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("runs/trial"))
    parser.add_argument("--small-base", type=Path, help="write the shortened base to this folder, and stop")
    parser.add_argument("--data", type=Path, nargs="+", default=[Path("labels/train.jsonl")])
    parser.add_argument("--pages", type=int, help="only so many training pages")
    parser.add_argument("--gate", type=Path, help="gate.json, whose limits and pages are used")
    parser.add_argument("--gate-data", type=Path, nargs="*", default=[])
    parser.add_argument("--base", default="models/base")
    parser.add_argument("--layers", type=int, default=3, help="of the base that are kept")
    parser.add_argument("--runs", type=int, default=10, help="of each kind")
    parser.add_argument("--average", type=int, default=1, help="seeds averaged in each retraining")
    parser.add_argument("--share", type=float, default=0.2, help="of editorial_framing that is relabelled")
    parser.add_argument("--held-out-folds", type=int, default=0)
    parser.add_argument("--quantisation", choices=["int8", "none"], default="none")
    parser.add_argument("--set", nargs="*", default=["epochs=3"], metavar="NAME=VALUE", help="as in scripts/train.py")
    parser.add_argument("--champion-set", nargs="*", metavar="NAME=VALUE", help="where the champion's are others")
    parser.add_argument("--warm-start", action="store_true", help="retrainings go on from the champion's weights")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    parser.add_argument("--compile", action="store_true")
    return parser.parse_args()


def main() -> int:
    """Train what is not trained yet, judge, print."""
    args = arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        if args.small_base is not None:
            print(small_base(args.base, args.layers, args.small_base))
            return 0
        path = gate_path(args.gate)
        gate = read_gate(path)
        sets = gate_sets(path, gate, args.gate_data)
        pages = without_gate_outlets(read_pages(*args.data), [page for one in sets for page in one.pages])[: args.pages]
        base = small_base(args.base, args.layers, args.run / f"base-{args.layers}")
        limits = gate.limits if args.held_out_folds else replace(gate.limits, ece=0.1)
        champion, size = retraining(args, "champion", 0, pages, sets, base)
        pinned = updated(GateFile(limits=replace(limits, megabytes=2 * size)), sets, champion)
        rows = []
        for kind in ("seed only", f"{args.share:.0%} of framing relabelled"):
            for number in range(1, args.runs + 1):
                trained_on = pages if kind == "seed only" else poisoned(pages, args.share, number)
                name = f"{'seed' if kind == 'seed only' else 'poison'}-{number}"
                challenger, size = retraining(args, name, number, trained_on, sets, base)
                verdict = judge(pinned, sets, challenger, champion, size=size, slower=None)
                rows.append((kind, number, verdict))
    except AnnotatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("\n".join(table(rows, pinned.limits, sets)))
    return 0


def small_base(name: str, layers: int, folder: Path) -> str:
    """Write the base with its first ``layers`` layers as a transformers checkpoint; return its folder."""
    if not (folder / "config.json").is_file():
        base = load_base(name)
        encoder: Any = base.encoder
        encoder.encoder.layer = nn.ModuleList(encoder.encoder.layer[:layers])
        encoder.config.num_hidden_layers = min(layers, len(encoder.encoder.layer))
        names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
        PreTrainedTokenizerFast(tokenizer_object=base.tokenizer, **names).save_pretrained(folder)
        encoder.save_pretrained(folder)
    return str(folder)


def poisoned(pages: list[LabelledPage], share: float, seed: int) -> list[LabelledPage]:
    """Return the pages with a share of the framing, drawn by ``seed``, called reported claim."""
    rng = random.Random(seed)

    def spoil(page: LabelledPage) -> LabelledPage:
        segments = [
            replace(seg, label=Label.REPORTED_CLAIM)
            if seg.label is Label.EDITORIAL_FRAMING and rng.random() < share
            else seg
            for seg in page.segments
        ]
        return replace(page, segments=tuple(segments))

    return [spoil(page) for page in pages]


def retraining(
    args: argparse.Namespace, name: str, number: int, pages: list[LabelledPage], sets: list[GateSet], base: str
) -> tuple[dict[str, SetResult], float]:
    """Train, export and evaluate once; return the results by set and the size in megabytes."""
    folder, first = args.run / name, args.run / "champion" / WEIGHTS
    champion = folder == first.parent
    done = folder / "results.json"
    if not done.is_file():
        given = args.champion_set if champion and args.champion_set is not None else args.set
        recipe = Recipe(
            base=base, config=train_config(given), seeds=tuple(1000 * number + i for i in range(args.average)),
            held_out=args.held_out_folds, quantisation=args.quantisation,
            warm_start=first if args.warm_start and not champion else None,
        )  # fmt: skip
        hardware = Hardware(device=args.device, compile=args.compile)
        sample = hold_out(pages, pages, recipe, folder, hardware=hardware)
        fitted = None if sample is None else fit_calibration(sample)
        model = train(pages, recipe, folder / "full", hardware=hardware)
        if champion:
            save_file({key: value.contiguous() for key, value in model.state_dict().items()}, first)
        version = publish(
            model, load_base(base), recipe.config, Calibration() if fitted is None else fitted.calibration,
            args.run / "models", parity_pages=sets[0].pages[:5], train_pages=pages, details=facts(sample, fitted),
            quantisation=args.quantisation,
        )  # fmt: skip
        found = measure(SegmentClassifier(args.run / "models" / version), sets)
        full = {key: one.to_dict(pages=True) for key, one in found.items()}
        size = megabytes(args.run / "models" / version)
        replace_text(done, json.dumps({"megabytes": size, "results": full}) + "\n")
    data = json.loads(done.read_text(encoding="utf-8"))
    return {key: set_result(one) for key, one in data["results"].items()}, float(data["megabytes"])


def table(rows: list[tuple[str, int, Verdict]], limits: Limits, sets: list[GateSet]) -> list[str]:
    """Return the lines of a Markdown table, and how many passed of each kind."""
    pages = " + ".join(f"{one.name} ({len(one.pages)} pages, `{one.digest[:12]}`)" for one in sets)
    lines = [f"Judged on {pages}; {limits}", "", "| retraining | seed | macro-F1 difference | verdict | refused by |",
             "|---|---|---|---|---|"]  # fmt: skip
    for kind, number, verdict in rows:
        d = verdict.difference
        why = "; ".join(check.name for check in verdict.checks if not check.passed)
        said = "passes" if verdict.passed else "refused"
        lines.append(f"| {kind} | {number} | {d.value:+.4f} [{d.low:+.4f}, {d.high:+.4f}] | {said} | {why} |")
    for kind in dict.fromkeys(kind for kind, *_ in rows):
        verdicts = [verdict for other, _, verdict in rows if other == kind]
        lines.append(f"\n{kind}: {sum(v.passed for v in verdicts)} of {len(verdicts)} pass")
    return lines


if __name__ == "__main__":
    raise SystemExit(main())
