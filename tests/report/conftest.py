"""Without Jinja2 or Matplotlib nothing of the report is tested; with ANNOTATOR_REQUIRE=all that is an error."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

_MISSING = [name for name in ("jinja2", "matplotlib") if find_spec(name) is None]
if _MISSING and os.environ.get("ANNOTATOR_REQUIRE") == "all":
    raise pytest.UsageError(f"ANNOTATOR_REQUIRE=all, but {', '.join(_MISSING)} is not installed")
collect_ignore_glob = ["test_*.py"] if _MISSING else []
