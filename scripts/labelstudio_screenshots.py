"""Make the pictures of docs/label-studio.md and docs/annoter.md: a real Label Studio, a headless Chromium.

    python scripts/labelstudio_screenshots.py [FOLDER]

Needs Label Studio ($LABEL_STUDIO_BIN or PATH), chromium, chromedriver and selenium. The pages are those of
labels/train.jsonl, which are invented; their labels stand in for a model's, with made-up confidences.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "labelstudio")]

import browser as chromium
from scenario import GUIDE, second_person, tasks_of
from scored_labels import as_scored
from server import running

from annotator.dataset import read_pages
from annotator.labelstudio.client import Server
from annotator.labelstudio.project import init, open_project
from annotator.labelstudio.push import push

PAGES = 6
EMAIL, PASSWORD = "merle@example.org", "motdepasse456"


def main() -> int:
    """Write label-studio-tasks.png, label-studio-page.png and label-studio-region.png."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    known = [
        page for page in read_pages(ROOT / "labels" / "train.jsonl") if any(seg.attribution for seg in page.segments)
    ]
    pages = [as_scored(page) for page in known[:PAGES]]
    with (
        tempfile.TemporaryDirectory() as work,
        running(Path(work)) as found,
        Server(found.url, found.token) as server,
        chromium.browser(width=1440, height=900) as driver,
    ):
        title = "Presse, novembre"
        init(server, title, GUIDE)
        project = open_project(server, title)
        push(server, project, lambda: iter(pages))
        tasks = tasks_of(server, project["id"])
        second_person(server, EMAIL, PASSWORD)
        chromium.log_in(driver, found.url, EMAIL, PASSWORD)
        driver.get(f"{found.url}/projects/{project['id']}/data")
        time.sleep(4)
        driver.save_screenshot(str(folder / "label-studio-tasks.png"))
        chromium.open_task(driver, found.url, project["id"], tasks[0]["id"])
        time.sleep(3)
        driver.save_screenshot(str(folder / "label-studio-page.png"))
        source = next(
            i["id"] for i in tasks[0]["predictions"][0]["result"] if i.get("value", {}).get("labels") == ["source"]
        )
        chromium.select_region(driver, source)
        time.sleep(1)
        driver.save_screenshot(str(folder / "label-studio-region.png"))
    for file in sorted(folder.glob("label-studio-*.png")):
        print(file, file.stat().st_size)
    return 0


if __name__ == "__main__":
    sys.exit(main())
