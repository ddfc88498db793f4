"""A real Label Studio for the tests of this folder: one a session, found by $LABEL_STUDIO_BIN or on PATH."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest
from server import find_binary, running

from annotator.labelstudio.client import Server

if os.environ.get("ANNOTATOR_REQUIRE") == "all" and find_spec("label_studio_sdk") is None:
    raise pytest.UsageError("ANNOTATOR_REQUIRE=all, but label-studio-sdk is not installed")


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory):
    """A running server (see server.py); skips with one line where Label Studio is not installed."""
    if find_binary() is None:
        what = "Label Studio is not installed (pip install label-studio==1.23.2 elsewhere, LABEL_STUDIO_BIN=…)"
        if os.environ.get("ANNOTATOR_REQUIRE") == "all":
            pytest.fail(f"ANNOTATOR_REQUIRE=all, but {what}", pytrace=False)
        pytest.skip(what)
    with running(tmp_path_factory.mktemp("label-studio")) as found:
        yield found


@pytest.fixture
def server(label_studio):
    with Server(label_studio.url, label_studio.token) as found:
        yield found


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    """Locks of a test stand in its own folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
