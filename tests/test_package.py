"""What an installed package holds, away from the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def installed(repository, tmp_path_factory):
    """The package as `pip install .` lays it down (its dependencies are those of this environment)."""
    target = tmp_path_factory.mktemp("installed")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target), str(repository)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return target


def run(installed, tmp_path, *args):
    code = "import sys; sys.argv[0] = 'annotator'; from annotator.cli import main; main()"
    env = {k: v for k, v in os.environ.items() if k != "ANNOTATOR_MODELS"}
    return subprocess.run(
        [sys.executable, "-c", code, *args], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        env={**env, "PYTHONPATH": str(installed), "XDG_DATA_HOME": str(tmp_path / "data"), "PYTHONUTF8": "1"},
    )  # fmt: skip


def test_the_installed_package_scores_with_the_model_it_carries(installed, tmp_path, repository):
    (tmp_path / "page.txt").write_text("Le préfet a démenti, selon la radio locale.", encoding="utf-8")
    done = run(installed, tmp_path, "score", "page.txt")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["model_version"] == (repository / "models" / "CURRENT").read_text(encoding="utf-8").strip()
    assert record["segments"]


def test_the_wheel_has_the_model_in_use_and_no_base(installed):
    carried = sorted(path.name for path in (installed / "annotator" / "models").iterdir())
    assert carried == sorted(["CURRENT", (installed / "annotator/models/CURRENT").read_text(encoding="utf-8").strip()])
    size = sum(f.stat().st_size for f in (installed / "annotator" / "models").rglob("*") if f.is_file())
    assert size < 40e6


def test_the_installed_package_writes_a_report(installed, tmp_path):
    (tmp_path / "page.txt").write_text("Le préfet a démenti, selon la radio locale.", encoding="utf-8")
    assert run(installed, tmp_path, "score", "page.txt", "-o", "scored.jsonl").returncode == 0
    done = run(installed, tmp_path, "report", "scored.jsonl", "--lang", "en")
    assert done.returncode == 0, done.stderr
    assert "Le préfet a démenti, selon la radio locale." in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_promote_never_writes_into_an_installed_package(installed, tmp_path, repository):
    version = (repository / "models" / "CURRENT").read_text(encoding="utf-8").strip()
    elsewhere = tmp_path / "site-packages"
    elsewhere.mkdir()
    (elsewhere / "annotator").symlink_to(installed / "annotator")
    done = run(installed, tmp_path, "models", "promote", version, "--models", str(elsewhere / "models"))
    assert done.returncode == 2
    assert "installed package" in done.stderr


def test_a_missing_extra_names_the_command(installed, tmp_path):
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "import importlib.util as u\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'torch' else find(name, *a)\n"
        "from annotator.errors import AnnotatorError\n"
        "try:\n    import annotator.training\n"
        "except AnnotatorError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(installed)},
    )  # fmt: skip
    assert (
        done.stdout
        == "training needs the package 'torch', which is not installed: run  pip install 'annotator[train]'\n"
    )
