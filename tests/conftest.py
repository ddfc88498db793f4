"""Fixtures that more than one test module needs."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def missing(what: str) -> None:
    """Skip with one line; fail instead where the environment promises everything (ANNOTATOR_REQUIRE=all)."""
    if os.environ.get("ANNOTATOR_REQUIRE") == "all":
        pytest.fail(f"ANNOTATOR_REQUIRE=all, but {what}", pytrace=False)
    pytest.skip(what)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The project's shared data folder beside the checkout, or $ANNOTATOR_SHARED_DATA."""
    named = os.environ.get("ANNOTATOR_SHARED_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        missing("the shared data folder is not beside this checkout (name it in ANNOTATOR_SHARED_DATA)")
    return folder


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def chromium():
    """A headless Chromium (see chromium.py), one for the session."""
    if find_spec("selenium") is None:
        missing("selenium is not installed (pip install selenium)")
    from chromium import browser, find_browser  # noqa: PLC0415 -- selenium

    if find_browser() is None:
        missing("Chromium and chromedriver are not on PATH (apt-get install both)")
    with browser(width=1280, height=1000) as found:
        yield found
