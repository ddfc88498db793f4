"""Runs ``annotator labelstudio …`` as a program of its own, for tests that kill it."""

from __future__ import annotations

import sys

from annotator.errors import AnnotatorError
from annotator.labelstudio.commands import app

if __name__ == "__main__":
    try:
        app(prog_name="annotator labelstudio")
    except AnnotatorError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
