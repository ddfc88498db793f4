"""Make the pictures of docs/report.md: a report of invented pages, and the view of a running server.

    python scripts/report_screenshots.py [FOLDER]

The pages are those of labels/gate.jsonl, which are invented, scored by the model in use and put under six outlets, so
that each has several. Needs chromium, chromedriver, selenium and the extras report (with which Pillow comes) and serve.
"""

from __future__ import annotations

import io
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import chromium
import uvicorn
from PIL import Image

from annotator.dataset import read_pages
from annotator.pipeline import score
from annotator.profile import errors_in
from annotator.registry import models_folder
from annotator.report.build import build_report
from annotator.serve.app import create_app
from annotator.serve.model import CurrentModel

LARGEST = 150_000  # bytes of a picture
OUTLETS = ("L’Écho du Rhône", "La Tribune de Vaurepaire", "Le Phare", "Radio Méridienne", "Savoirs", "TopInfos24")
OPEN = "[...document.querySelectorAll('#articles a')].find(a => a.textContent.includes(arguments[0])).click()"
READER = "document.getElementById('reader').scrollIntoView();"


def shoot(driver: chromium.webdriver.Chrome, path: Path, width: int, height: int, act: str) -> None:
    """Resize, act, take the picture."""
    chromium.resize(driver, width, height)
    driver.execute_script(act)
    time.sleep(0.5)
    with Image.open(io.BytesIO(driver.get_screenshot_as_png())) as picture:
        picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
            path, optimize=True
        )
    size = path.stat().st_size
    print(path, size)
    if size > LARGEST:
        sys.exit(f"{path} has {size} bytes, {LARGEST} at most: take a smaller part")


@contextmanager
def serving(model: CurrentModel) -> Iterator[str]:
    """Run the server in a thread; yield its address."""
    server = uvicorn.Server(uvicorn.Config(create_app(model), port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def main() -> int:
    """Write report-outlets.png, report-article.png, report-narrow.png and view.png."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    model = CurrentModel(models_folder(None))
    pages = [
        replace(page.article, outlet=OUTLETS[place % len(OUTLETS)])
        for place, page in enumerate(read_pages(ROOT / "labels" / "gate.jsonl"))
    ]
    articles = [score(page, model.loaded) for page in pages]
    errors = errors_in(models_folder(None))
    shown = max(range(len(articles)), key=lambda n: sum(seg.attribution is not None for seg in articles[n].segments))
    with tempfile.TemporaryDirectory() as work, chromium.browser() as driver, serving(model) as address:
        for lang in ("fr", "en"):
            page = Path(work) / f"{lang}.html"
            page.write_text(build_report(articles, errors, lang=lang), encoding="utf-8")
        driver.get((Path(work) / "fr.html").as_uri())
        shoot(driver, folder / "report-outlets.png", 1200, 900, "")
        driver.execute_script(OPEN, articles[shown].article.title)
        segment = READER + "document.querySelector('#article mark:has(.cue)').focus();"
        shoot(driver, folder / "report-article.png", 1200, 900, segment)
        driver.get((Path(work) / "en.html").as_uri())
        shoot(driver, folder / "report-narrow.png", 400, 800, READER + "document.querySelectorAll('mark')[2].focus();")
        driver.get(address + "/?lang=fr")
        driver.find_element("id", "example").click()
        time.sleep(5)
        shoot(driver, folder / "view.png", 1200, 900, "scrollTo(0, 0)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
