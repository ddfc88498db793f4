"""Write model card, reliability diagram and metrics.json of a version from what `annotator evaluate --json` wrote.

    annotator evaluate labels/gate.jsonl --json runs/gate.json
    python scripts/write_card.py --metrics "labels/gate=runs/gate.json" "real/gate †=runs/real-gate.json"

A name that ends in † marks pages that are not redistributed. What profiles are corrected with (docs/profile.md)
comes from one evaluation of all gate pages together, and is kept as ``error`` in metrics.json (``error_fast`` of the
fast model); --error and --error-fast alone replace it and leave the rest:

    annotator evaluate labels/gate.jsonl REAL/gate.jsonl --json runs/gates.json
    annotator evaluate labels/gate.jsonl REAL/gate.jsonl --fast --json runs/gates-fast.json
    python scripts/write_card.py --error runs/gates.json --error-fast runs/gates-fast.json
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from annotator.errors import AnnotatorError
from annotator.registry import model_path, models_folder, read_metrics, replace_text
from annotator.training.card import write_card

ORIGIN = """They are the train split of labels/, written for this project
with invented outlets and people, and real French web pages (dailies, agencies, aggregators, partisan sites, blogs,
institutions, West African and Algerian press), each read once by a reader who followed the same codebook. The real
pages are not redistributed: their text belongs to their publishers. Their topics lean to politics, disinformation,
the gilets jaunes, gender and climate."""


def main() -> int:
    """Write the files into the folder of the version."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--metrics", nargs="+", default=[], metavar="NAME=JSON")
    parser.add_argument("--error", type=Path, metavar="JSON", help="evaluation of all gate pages together")
    parser.add_argument("--error-fast", type=Path, metavar="JSON", help="the same of the fast model")
    parser.add_argument("--models", type=Path)
    parser.add_argument("--model", help="version (default: the current one)")
    args = parser.parse_args()
    errors = {key: path for key, path in (("error", args.error), ("error_fast", args.error_fast)) if path is not None}
    if not args.metrics and not errors:
        parser.error("name --metrics, --error or --error-fast")
    try:
        folder = model_path(models_folder(args.models), args.model)
        pairs = [item.rpartition("=") for item in args.metrics]
        metrics = {name: json.loads(Path(path).read_text(encoding="utf-8")) for name, _, path in pairs}
        for data in metrics.values():
            data.pop("error", None)  # of one file; profiles want that of all
        if metrics:
            write_card(folder, metrics, ORIGIN)
        kept = read_metrics(folder)
        kept |= {key: json.loads(path.read_text(encoding="utf-8"))["error"] for key, path in errors.items()}
        metrics = {**(metrics or kept), **{key: kept[key] for key in ("error", "error_fast") if key in kept}}
        replace_text(folder / "metrics.json", json.dumps(metrics, indent=1, ensure_ascii=False) + "\n")
    except (AnnotatorError, OSError, ValueError, KeyError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(folder)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
