"""The model card: what it says of confidence and review, and its diagram."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest

from annotator import registry
from annotator.registry import Calibration


@pytest.mark.parametrize(("conformal", "said"), [
    (True, "Conformal risk control bounds"),
    (False, "measured, not guaranteed"),
])  # fmt: skip
def test_the_card_states_what_the_review_mark_promises(repository, tmp_path, conformal, said):
    shipped = registry.current_version(repository / "models")
    source = repository / "models" / shipped
    folder = tmp_path / "new"
    folder.mkdir()
    for name in registry.MODEL_FILES:
        shutil.copy(source / name, folder / name)
    old = registry.read_manifest(source)
    review = {"risk": 0.02, "share": 0.4, "error": 0.019, "conformal": conformal, "assumption": "none: too few"}
    details = {**old.details, "review": review, "calibration": {"articles": 60}}
    found = Calibration(temperature=1.1, review_below=0.9, top=(1.0, 1.2, 0.1))
    version = registry.write_manifest(folder, old.windows, found, details).version
    folder.rename(tmp_path / version)
    metrics = json.loads((source / "metrics.json").read_text(encoding="utf-8"))
    (tmp_path / "gate.json").write_text(json.dumps(metrics["labels/gate"]), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "scripts/write_card.py", "--metrics", f"A & B={tmp_path / 'gate.json'}",
         "--models", str(tmp_path), "--model", version],
        cwd=repository, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    card = (tmp_path / version / "README.md").read_text(encoding="utf-8")
    assert said in card
    assert "beta map [1.0, 1.2, 0.1]" in card
    assert "reliability.svg" in card
    drawn = ET.parse(tmp_path / version / "reliability.svg").getroot()  # noqa: S314 -- our own
    assert sum(item.get("stroke-width") == "2" for item in drawn) == 1
    assert any("A & B: ECE" in (item.text or "") for item in drawn)
    assert registry.read_manifest(tmp_path / version).calibration == found
