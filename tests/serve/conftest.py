"""The shipped model, loaded once, and clients that speak to the application without a network."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

_MISSING = [name for name in ("fastapi", "uvicorn", "prometheus_client", "httpx") if find_spec(name) is None]
if _MISSING and os.environ.get("ANNOTATOR_REQUIRE") == "all":
    raise pytest.UsageError(f"ANNOTATOR_REQUIRE=all, but {', '.join(_MISSING)} is not installed")
collect_ignore_glob = ["test_*.py"] if _MISSING else []


@pytest.fixture(scope="session")
def model(repository):
    from annotator.serve.model import CurrentModel  # noqa: PLC0415 -- an extra

    return CurrentModel(repository / "models", threads=1)
