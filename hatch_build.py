"""Puts into the wheel what the package reads: the model that models/CURRENT names, and the annotators' guide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ModelHook(BuildHookInterface):
    """Adds them to a standard wheel; an editable one finds them in the checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the files to include."""
        if version == "editable":
            return
        models = Path(self.root) / "models"
        current = (models / "CURRENT").read_text(encoding="utf-8").strip()
        build_data["force_include"][str(models / "CURRENT")] = "annotator/models/CURRENT"
        build_data["force_include"][str(models / current)] = f"annotator/models/{current}"
        guide = Path(self.root) / "labels" / "GUIDE.md"
        build_data["force_include"][str(guide)] = "annotator/labelstudio/GUIDE.md"
