"""Teach a version's smaller sibling for `--fast`, and put it in the version's folder.

    python scripts/distil.py --data labels/train.jsonl REAL/train.jsonl --gate labels/gate.jsonl REAL/gate.jsonl
        --run runs/fast [--teacher runs/shipped/full/seed-1/model.safetensors] [--compile]

The student starts from some layers of the teacher, whose embedding tables it keeps, so that fast.onnx reads them in the
version's model.onnx. One fold of whole outlets of the last --data file is left out of what it is taught with and
gives its calibration; with --final-epochs the student then goes on with every page, the fold's too, and keeps that
calibration. Pages of outlets that stand in a --gate file are not used. A run that was cut goes on. Prints the fast
model's version, and on stderr how far it agrees with its teacher on the gate pages.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import sys
from dataclasses import asdict, replace
from pathlib import Path

from annotator.errors import AnnotatorError

try:
    import annotator.training  # noqa: F401 - says what is missing
except AnnotatorError as missing:
    sys.exit(f"error: {missing}")

from annotator.classifier import SegmentClassifier
from annotator.dataset import LabelledPage, digest, read_pages
from annotator.registry import model_path, models_folder, read_manifest, write_manifest
from annotator.splits import split_by_outlet
from annotator.training.base import Base, load_base
from annotator.training.calibrate import RISK, facts, fit_calibration
from annotator.training.distil import DistilConfig, claim, distil, make_student
from annotator.training.export import agreement, export_fast
from annotator.training.fit import Hardware, has_bf16, pick_device
from annotator.training.model import LossWeights, SegmentTagger, read_weights
from annotator.training.publish import held_out, labels_of, sample_rows
from annotator.training.recipe import FOLD_SEED, WEIGHTS, without_gate_outlets
from annotator.training.smoothing import smooth


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--teacher", type=Path, nargs="+", help="its model.safetensors; of several, the mean (default: its model.onnx)"
    )
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="labelled pages; those like the use last")
    parser.add_argument("--gate", type=Path, nargs="*", default=[], help="pages whose outlets are not used")
    parser.add_argument("--base", default="models/base", help="base encoder of the teacher")
    parser.add_argument("--run", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--models", type=Path, help="registry (default: the one in use)")
    parser.add_argument("--model", help="version that gets the fast model (default: the current one)")
    parser.add_argument("--layers", type=int, nargs="+", default=list(DistilConfig().layers))
    parser.add_argument("--intermediate", type=int, default=DistilConfig().intermediate)
    parser.add_argument("--local", type=int, nargs="*", default=[], help="of the student's, that attend within parts")
    parser.add_argument("--epochs", type=int, default=DistilConfig().training.epochs)
    parser.add_argument("--final-epochs", type=int, default=0, help="with every page, after that, at half the rate")
    parser.add_argument("--warm-start", type=Path, help="model.safetensors of an earlier teacher's student")
    parser.add_argument("--context-tokens", type=int, default=16, help="neighbours of a window, when it is used")
    parser.add_argument("--fold", type=int, default=0, help="fold (of 5) that is left out and calibrates")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    parser.add_argument("--compile", action="store_true", help="compile the encoders (needs a C++ compiler)")
    return parser.parse_args()


def main() -> int:
    """Teach, calibrate, export."""
    args = arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        gate = read_pages(*args.gate) if args.gate else []
        pages = without_gate_outlets(read_pages(*args.data), gate)
        held = split_by_outlet(
            without_gate_outlets(read_pages(args.data[-1]), gate), folds=5, seed=FOLD_SEED
        )[args.fold]  # fmt: skip
        aside = {page.article.article_id for page in held}
        every, pages = pages, [page for page in pages if page.article.article_id not in aside]
        claim(args.run, pages)
        folder = model_path(models_folder(args.models), args.model)
        windows = replace(read_manifest(folder).windows, context_tokens=args.context_tokens)
        plan = DistilConfig(layers=tuple(args.layers), intermediate=args.intermediate)
        plan = replace(plan, training=replace(plan.training, epochs=args.epochs, local=args.local))
        trained = read_manifest(folder).details.get("training", {})
        teacher = SegmentTagger(load_base(args.base).encoder, LossWeights(), local=trained.get("local", ()))
        teachers = args.teacher or [folder / "model.onnx"]
        read_weights(teacher, teachers)
        base = load_base(args.base)
        hardware = Hardware(device=args.device, compile=args.compile)
        student = taught_student(pages, teacher, base, plan, args.run, hardware, args.warm_start)
        sample = held_out(student.eval(), held, base, windows, bf16=has_bf16(pick_device(args.device)))
        fitted = fit_calibration(sample, risk=RISK)
        if args.final_epochs:
            rates = {name: getattr(plan.training, name) / 2 for name in ("learning_rate", "head_learning_rate")}
            further = replace(plan, training=replace(plan.training, epochs=args.final_epochs, **rates))
            claim(args.run / "all", every)
            student = taught_student(every, teacher, base, further, args.run / "all", hardware, args.run / WEIGHTS)
            pages = every
        export_fast(smooth(student, sample_rows(pages, base, windows)), folder)
        told = {
            "teacher_sha256": [hashlib.sha256(path.read_bytes()).hexdigest() for path in teachers],
            "layers": args.layers, "intermediate": args.intermediate,
            "training": asdict(plan.training), "warm_start": args.warm_start is not None,
            "final_epochs": args.final_epochs,
            "train_pages": len(pages), "train_digest": digest(pages),
            **facts(sample, fitted),
        }  # fmt: skip
        made = write_manifest(folder, windows, fitted.calibration, told, fast=True)
        if gate:
            both = [labels_of(SegmentClassifier(folder, fast=fast), gate) for fast in (True, False)]
            print(f"agrees with its teacher on {agreement(*both):.1%} of the gate segments", file=sys.stderr)
    except AnnotatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(made.version)
    return 0


def taught_student(
    pages: list[LabelledPage],
    teacher: SegmentTagger,
    base: Base,
    plan: DistilConfig,
    folder: Path,
    hardware: Hardware,
    warm_start: Path | None,
) -> SegmentTagger:
    """Return the student of a run, from its file where it is done."""
    if not (folder / WEIGHTS).is_file():
        return distil(pages, teacher, base, plan, folder, hardware=hardware, warm_start=warm_start)
    student = make_student(teacher, plan)
    read_weights(student, [folder / WEIGHTS])
    return student


if __name__ == "__main__":
    raise SystemExit(main())
