"""How fast a Ray cluster on this machine is beside the local engine: pages a second once both have started.

    python scripts/compare_engines.py [--pages 100 700] [--runs 3] [--threads 2]

Scores few and many written pages with each engine, alternating; the difference in time is that of the pages between,
without what starting takes. The local engine uses all the threads, Ray as many actors of one thread. Needs the extra
`scale`. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from written_pages import pages

PROGRAM = Path(sys.executable).with_name("annotator")


def seconds(engine: str, source: Path, folder: Path, threads: int) -> float:
    """Score a file into shards and return how long the command took."""
    each = threads if engine == "local" else 1
    command = [PROGRAM, "score", source, "-o", folder, "--shard-size", "25", "--engine", engine, "--threads", str(each)]
    began = time.perf_counter()
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"error: {engine}: {done.stderr.strip().splitlines()[-1:]}")
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, nargs=2, default=[100, 700])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    few, many = args.pages
    speeds: dict[str, list[float]] = {"local": [], "ray": []}
    starts: dict[str, list[float]] = {"local": [], "ray": []}
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        for count in (few, many):
            lines = [json.dumps({"id": f"p{i}", "text": page.text}) + "\n" for i, page in enumerate(pages(count))]
            (root / f"{count}.jsonl").write_text("".join(lines), encoding="utf-8")
        for run in range(args.runs):
            for engine, measured in speeds.items():
                small, large = (
                    seconds(engine, root / f"{n}.jsonl", root / f"{engine}-{run}-{n}", args.threads)
                    for n in (few, many)
                )
                measured.append((many - few) / (large - small))
                starts[engine].append(small - few / measured[-1])
                print(f"run {run + 1}: {engine}: {small:.1f} s, {large:.1f} s", file=sys.stderr, flush=True)
    print("| engine | pages/s (range) | starting, s | share of the local engine's speed |\n|---|---|---|---|")
    for engine, found in speeds.items():
        share = statistics.median(mine / local for mine, local in zip(found, speeds["local"], strict=True))
        print(
            f"| {engine} | {statistics.median(found):.1f} ({min(found):.1f} to {max(found):.1f}) | "
            f"{statistics.median(starts[engine]):.1f} | {share:.2f} |"
        )


if __name__ == "__main__":
    main()
