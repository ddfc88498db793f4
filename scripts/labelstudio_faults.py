"""Run the whole grid of faults against a real Label Studio and write its table as Markdown.

    python scripts/labelstudio_faults.py --write docs/label-studio-faults.md

Every point runs the cycle of tests/labelstudio/scenario.py (init, update, push in batches, remove a double, work on
five pages, push a new model version, prune, push again, pull) through a proxy that breaks one write in one way, and
checks that no task and no prediction stands twice, that no annotation is lost, and that the pages pulled are those of
an undisturbed cycle, byte for byte. Label Studio is found by $LABEL_STUDIO_BIN or on PATH.
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "labelstudio")]

from proxy import FAULTS, proxied
from scenario import Cycle, new_title
from server import running

from annotator.labelstudio.client import Server

PATIENCE = 1.5


def main() -> int:
    """Run the grid; exit 1 when a point fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="Markdown file for the table")
    logging.getLogger("annotator").setLevel(logging.ERROR)
    options = parser.parse_args()
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as work,
        running(Path(work) / "server") as found,
        Server(found.url, found.token) as server,
        proxied(found.url, patience=PATIENCE) as proxy,
    ):
        folder = Path(work)
        whole = Cycle(server, new_title("whole"), folder, url=proxy.url).run()
        writes = list(proxy.seen)
        if problems := whole.problems():
            print("the undisturbed cycle fails:", problems)
            return 1
        content = whole.content()
        rows = [[_point(server, proxy, folder, fault, at, content) for fault in FAULTS] for at in range(len(writes))]
    lines = _table(writes, rows, time.monotonic() - began)
    print("\n".join(lines))
    if options.write is not None:
        options.write.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return int(any(not cell.startswith("ok") for row in rows for cell in row))


def _point(server: Server, proxy, folder: Path, fault: str, at: int, content: str) -> str:  # noqa: ANN001 -- of tests/
    began = time.monotonic()
    proxy.reset(fault, at=at)
    title = new_title("point")
    cycle = Cycle(server, title, folder, url=proxy.url, patience=PATIENCE, settled=lambda: proxy.quiet.wait(60))
    try:
        cycle.run()
        problems = cycle.problems() if proxy.struck.is_set() else ["the fault did not strike"]
        if not problems and cycle.content() != content:
            problems = ["the pages pulled differ"]
    except Exception as error:  # noqa: BLE001 -- a point that crashes is a result
        problems = [f"{type(error).__name__}: {error}"]
    cell = "; ".join(problems) or ("ok" if not cycle.reruns else f"ok, {cycle.reruns} rerun")
    print(f"{at} {fault}: {cell} ({time.monotonic() - began:.1f} s)", file=sys.stderr, flush=True)
    return cell


def _table(writes: list[str], rows: list[list[str]], seconds: float) -> list[str]:
    cells = [cell for row in rows for cell in row]
    good = sum(cell.startswith("ok") for cell in cells)
    names = [re.sub(r"/[0-9]+", "/N", name) for name in writes]
    return [
        "<!-- written by scripts/labelstudio_faults.py -->",
        "# Faults between client and Label Studio",
        "",
        f"{good} of {len(cells)} points are as they should be ({seconds:.0f} s). Each row is a write of the cycle,",
        "each column a way to break it. *ok*: the command went on by itself; *ok, 1 rerun*: it ended with one clear",
        "line, and the same command run again went on. In both cases: no task and no prediction twice, no annotation",
        "lost, the pages pulled the same as without a fault.",
        "",
        "| write | " + " | ".join(FAULTS) + " |",
        "|---|" + "---|" * len(FAULTS),
        *(f"| `{name}` | " + " | ".join(row) + " |" for name, row in zip(names, rows, strict=True)),
    ]


if __name__ == "__main__":
    sys.exit(main())
