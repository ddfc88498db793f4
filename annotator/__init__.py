"""Source-credibility and framing annotator for French news.

>>> import annotator
>>> model = annotator.load()
>>> scored = model.score("« Nous tiendrons », a déclaré le ministre.")
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from annotator.pipeline import Annotator

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def load(
    models: Path | None = None,
    version: str | None = None,
    *,
    threads: int | None = None,
    fast: bool = False,
    device: str = "cpu",
) -> Annotator:
    """Load the annotator: ``version`` (default: the current one) from a folder of models (default: the shipped one).

    ``fast`` takes the version's smaller model, ``device`` may be ``cuda`` with onnxruntime-gpu.

    Raises:
        ModelError: there is no such model, or its folder is damaged.
    """
    from annotator.pipeline import Annotator  # noqa: PLC0415 - importing the package stays cheap

    return Annotator.load(models, version, threads=threads, fast=fast, device=device)
