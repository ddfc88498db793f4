"""Measure how fast a report opens in headless Chromium, and how large it is.

    python scripts/measure_report.py [--articles 500] [--outlets 12] [--runs 5]

The articles are the pages of labels/train.jsonl, which are invented, repeated under other ids until there are enough.
Times are from the start of the navigation, of a file on disk: until the first article is rendered, until the load
event is over, and from a click on another article until it has been painted; and the processor time of the page's
main thread until it is loaded, which what else the machine does changes little. Needs chromium, chromedriver, selenium.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import chromium
from scored_labels import as_scored

from annotator.dataset import read_pages
from annotator.report.build import build_report

TIMES = """
return [performance.getEntriesByName('first-article')[0].startTime,
        performance.getEntriesByType('navigation')[0].loadEventEnd];
"""
OPEN_ANOTHER = """
const done = arguments[0], start = performance.now();
document.querySelectorAll('#articles a')[7].click();
setTimeout(() => requestAnimationFrame(() => setTimeout(() => done(performance.now() - start))));
"""


def main() -> int:
    """Print one JSON object: articles, segments, megabytes, seconds to build, milliseconds to open."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--articles", type=int, default=500)
    parser.add_argument("--outlets", type=int, help="number of outlets (default: those of the pages)")
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    pages = [as_scored(page) for page in read_pages(ROOT / "labels" / "train.jsonl")]
    outlets = [page.article.outlet for page in pages]
    if given.outlets:
        outlets = [outlets[place % given.outlets] for place in range(len(pages))]
    repeated = (
        replace(page, article=replace(page.article, article_id=f"{page.article.article_id}-{number}", outlet=outlet))
        for number in count()
        for page, outlet in zip(pages, outlets, strict=True)
    )
    articles = list(islice(repeated, given.articles))
    start = time.monotonic()
    page = build_report(articles, lambda _: None)
    built = time.monotonic() - start
    first, loaded, another, busy = [], [], [], []
    with tempfile.TemporaryDirectory() as folder, chromium.browser() as driver:
        path = Path(folder) / "report.html"
        path.write_text(page, encoding="utf-8")
        for _ in range(given.runs):
            driver.get("about:blank")
            before = chromium.main_thread_seconds(driver)
            driver.get(path.as_uri())
            times = driver.execute_script(TIMES)
            first.append(times[0])
            loaded.append(times[1])
            busy.append(1000 * (chromium.main_thread_seconds(driver) - before))
            another.append(driver.execute_async_script(OPEN_ANOTHER))
    result = {
        "articles": len(articles),
        "outlets": len({scored.article.outlet for scored in articles}),
        "segments": sum(len(scored.segments) for scored in articles),
        "megabytes": round(len(page.encode()) / 1e6, 2),
        "seconds_to_build": round(built, 2),
        "ms_first_article": [round(t) for t in first],
        "ms_loaded": [round(t) for t in loaded],
        "ms_another_article": [round(t) for t in another],
        "ms_main_thread": [round(t) for t in busy],
        "median_ms_first_article": round(statistics.median(first)),
        "median_ms_loaded": round(statistics.median(loaded)),
    }
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
