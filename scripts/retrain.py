"""From what reviewers did to a better model in use: one command, which cron or a webhook may call.

    python scripts/retrain.py --workspace runs/loop --data labels/train.jsonl --project annotator

pull -> check -> dataset -> train -> export -> evaluate -> gate -> promote -> predict. A step whose inputs have not
changed is not done again; a run that was cut goes on where it stood; two at once are refused. Without --project
nothing is pulled or sent. Exit status: 0 all done (or nothing to do), 1 the gate refuses, 2 nothing could be done.

The base, the settings of the training and the folds decide the version, and so do the pages: see docs/retraining.md.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import warnings
from pathlib import Path

from annotator.errors import AnnotatorError

try:
    import annotator.training  # noqa: F401 - says what is missing
except AnnotatorError as missing:
    sys.exit(f"error: {missing}")

from transformers.utils import logging as transformers_logging

from annotator.curation import DatasetRules
from annotator.gatefile import gate_path
from annotator.labelstudio.client import find_token
from annotator.registry import adopt, models_folder, user_folder
from annotator.retraining.run import STEPS, retrain
from annotator.retraining.steps import Project, Settings
from annotator.training.calibrate import RISK
from annotator.training.fit import Hardware
from annotator.training.recipe import Recipe, train_config


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, required=True, help="folder of the loop: pages pulled, runs, log")
    parser.add_argument("--data", type=Path, nargs="*", default=[],
                        help="pages to train on besides the reviewed ones; those most like the use last")  # fmt: skip
    parser.add_argument("--models", type=Path, help="registry (default: the one in use, or the user's own)")
    parser.add_argument("--gate", type=Path, help="gate.json (default: labels/gate.json)")
    parser.add_argument("--gate-data", type=Path, nargs="*", default=[], help="more gate pages, pinned there by digest")
    parser.add_argument("--project", default=os.environ.get("LABEL_STUDIO_PROJECT"), help="title in Label Studio")
    parser.add_argument("--url", default=os.environ.get("LABEL_STUDIO_URL", "http://localhost:8080"))
    parser.add_argument("--token-file", type=Path, help="file of the access token (default: $LABEL_STUDIO_API_KEY)")
    parser.add_argument("--until", choices=list(STEPS), help="last step to do, for instance gate: nothing is promoted")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    parser.add_argument("--base", default="models/base", help="folder of a base encoder, or a hub id")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="as in scripts/train.py")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], help="more than one: weights are averaged")
    parser.add_argument("--warm-start", type=Path, help="weights of an earlier run, or its folder, for the folds too")
    parser.add_argument("--folds", type=int, default=5, help="folds of outlets for the calibration; 0: none")
    parser.add_argument("--held-out-folds", type=int, default=1, help="how many of them are held out in turn")
    parser.add_argument("--risk", type=float, default=RISK, help="error rate aimed at among what is not reviewed")
    parser.add_argument("--quantisation", choices=["int8", "none"], default="int8")
    parser.add_argument("--allow", action="store_true", help="train on labels of several codebooks side by side")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    parser.add_argument("--compile", action="store_true", help="compile the encoder (needs a C++ compiler)")
    parser.add_argument("--resamples", type=int, default=2000)
    return parser.parse_args()


def registry(option: Path | None, *, dry_run: bool) -> Path:
    """Return the registry; where the model in use is a package's own, copy it to the user's, which can be written."""
    if option is not None:
        return option
    found = models_folder()
    if "site-packages" not in found.resolve().parts:
        return found
    if not dry_run and not (user_folder() / "CURRENT").is_file():
        adopt(user_folder(), found)
    return user_folder()


def main() -> int:
    """Run the loop once; print what each step did, the verdict, and the version."""
    args = arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    transformers_logging.set_verbosity_warning()
    warnings.simplefilter("ignore", FutureWarning)
    try:
        project = None
        if args.project:
            token = "" if args.dry_run else find_token(None, args.token_file)  # a dry run asks nothing of the server
            project = Project(url=args.url, token=token, title=args.project)
        settings = Settings(
            workspace=args.workspace, data=tuple(args.data), models=registry(args.models, dry_run=args.dry_run),
            gate=gate_path(args.gate), gate_data=tuple(args.gate_data), project=project, resamples=args.resamples,
            hardware=Hardware(device=args.device, compile=args.compile), rules=DatasetRules(allow=args.allow),
            recipe=Recipe(
                base=args.base, config=train_config(args.set), seeds=tuple(args.seeds), folds=args.folds,
                held_out=args.held_out_folds, risk=args.risk, quantisation=args.quantisation,
                warm_start=args.warm_start,
            ),
        )  # fmt: skip
        outcome = retrain(settings, until=args.until, dry_run=args.dry_run)
    except (AnnotatorError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name, what in outcome.steps.items():
        print(f"{name}\t{what}", file=sys.stderr)
    for line in outcome.lines:
        print(line, file=sys.stderr)
    if outcome.version is not None:
        print(outcome.version)
    return 1 if outcome.passed is False else 0


if __name__ == "__main__":
    raise SystemExit(main())
