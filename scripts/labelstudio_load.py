"""Measure push, re-push, a new model version and pull on a real Label Studio: articles of 25 segments.

python scripts/labelstudio_load.py [--articles 1000]

Label Studio is found by $LABEL_STUDIO_BIN or on PATH.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "labelstudio")]

from scenario import GUIDE
from scored_pages import scored
from server import running

from annotator.labelstudio.client import Server
from annotator.labelstudio.convert import prediction, task_data
from annotator.labelstudio.project import init, open_project
from annotator.labelstudio.pull import pull
from annotator.labelstudio.push import PushOptions, push
from annotator.storage import read_scored, write_scored

BARS = {"push": 30, "push again": 10, "new model version": 40, "pull": 30}
SEGMENTS = 25
SENTENCE = (
    "Le registre du port d’Ambres note sous le numéro {} que la marée du matin a porté des algues, du bois flotté, "
)
TAIL = "trois casiers vides et une bouée dont personne n’a su dire à quel chalutier elle appartenait, ni depuis quand, "
END = "et que la capitainerie a fait le tour du bassin avant midi sans rien relever de contraire à la règle du quai."


def page(number: int) -> str:
    """Return a page of 25 lines and about 8 kB."""
    return "\n".join((SENTENCE + TAIL + END).format(number * SEGMENTS + line) for line in range(SEGMENTS))


def main() -> int:
    """Measure; exit 1 when a bar of issue 3 is missed (they hold for 1,000 articles)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--articles", type=int, default=1000)
    count = parser.parse_args().articles
    times: dict[str, float] = {}

    def timed(name: str, run: Callable[[], object]) -> None:
        began = time.monotonic()
        run()
        times[name] = time.monotonic() - began
        print(f"{name}: {times[name]:.1f} s", flush=True)

    with tempfile.TemporaryDirectory() as work, running(Path(work) / "server") as found:
        files = {}
        for version in ("v1", "v2"):
            files[version] = Path(work) / f"{version}.jsonl"
            shift = int(version[1])
            articles = (scored(page(n), f"a{n:05}", version=version, shift=shift) for n in range(count))
            write_scored(articles, files[version])
        with Server(found.url, found.token) as server:
            init(server, "load", GUIDE)
            project = open_project(server, "load")
            timed("push", lambda: push(server, project, lambda: read_scored([files["v1"]])))
            timed("push again", lambda: push(server, project, lambda: read_scored([files["v1"]])))
            timed(
                "new model version",
                lambda: push(server, project, lambda: read_scored([files["v2"]]), PushOptions(keep=1)),
            )
            init(server, "load, annotated", GUIDE)
            project = open_project(server, "load, annotated")
            _import_annotated(server, project["id"], files["v1"])
            out = Path(work) / "out.jsonl"
            timed("pull", lambda: pull(server, project, out))
            first = out.read_bytes()
            timed("pull again", lambda: pull(server, project, out))
            assert out.read_bytes() == first
            assert first.count(b"\n") == count
    missed = [name for name, bar in BARS.items() if times[name] > bar]
    print("missed: " + ", ".join(missed) if missed else "all bars kept")
    return int(bool(missed))


def _import_annotated(server: Server, project: int, file: Path) -> None:
    """Make tasks that are annotated already: submitting them one by one takes the server three minutes."""
    batch = []
    for scored_page in read_scored([file]):
        annotation = {"result": prediction(scored_page)["result"], "lead_time": 3.0}
        batch.append({"data": task_data(scored_page.article), "annotations": [annotation]})
        if len(batch) == 100:
            server.write("POST", f"api/projects/{project}/import", batch)
            batch = []
    if batch:
        server.write("POST", f"api/projects/{project}/import", batch)


if __name__ == "__main__":
    sys.exit(main())
