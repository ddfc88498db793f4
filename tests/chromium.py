"""A headless Chromium for tests and scripts; what it does in Label Studio is in labelstudio/browser.py."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager

from selenium import webdriver


def find_browser() -> tuple[str, str] | None:
    """Return Chromium and its driver, None where one is missing."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    return (chromium, driver) if chromium and driver else None


@contextmanager
def browser(*, width=1500, height=1000):
    chromium, driver = find_browser()
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--window-size={width},{height}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield found
    finally:
        found.quit()


def resize(driver, width, height):
    """Give the page a size of its own, smaller than a window may be."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def complaints(driver):
    """Return what the console says since it was last asked: errors, refusals of the policy, warnings."""
    return [entry["message"] for entry in driver.get_log("browser")]


def requests(driver):
    """Return the addresses that were asked for since this was last called; data: and about: need nobody."""
    found = []
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            found.append(message["params"]["request"]["url"])
    return [url for url in found if not url.startswith(("data:", "about:"))]


def main_thread_seconds(driver):
    """Return the processor time that the main thread of the page's process has taken so far.

    Only differences within one process mean something; a page from disk shares its process with about:blank.
    """
    driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    metrics = driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")
