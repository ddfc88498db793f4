"""Versions put in use, taken back and removed; nothing half there, whatever is cut."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from annotator import registry
from annotator.cli import app
from annotator.errors import AnnotatorError, ModelError
from annotator.labelstudio.lock import LockedError, hold
from annotator.registry import Calibration
from annotator.windows import WindowConfig


def make(models, name, *, made):
    """Write a folder that is whole as far as the registry looks; return its version."""
    folder = models / "new"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_text(name, encoding="utf-8")
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    version = registry.write_manifest(folder, WindowConfig(), Calibration(), {"created_at": made}).version
    folder.rename(models / version)
    return version


@pytest.fixture
def models(tmp_path):
    return tmp_path / "models"


@pytest.fixture
def versions(models):
    return [make(models, str(n), made=f"2026-01-0{n}T00:00:00+00:00") for n in range(1, 6)]


def test_rollback_goes_back_one_use_at_a_time(models, versions):
    a, b, c, *_ = versions
    for version in (a, b, c):
        registry.promote(models, version)
    assert registry.previous_version(models) == b
    registry.promote(models, b, back=True)
    assert registry.previous_version(models) == a, "a rollback is no use that one goes back to"
    registry.promote(models, a, back=True)
    with pytest.raises(ModelError, match="is not known: name the version"):
        registry.previous_version(models)
    registry.promote(models, c)
    assert registry.previous_version(models) == a
    assert [item["version"] for item in registry.history(models)] == [a, b, c, b, a, c]


def test_promoting_what_is_in_use_changes_nothing(models, versions):
    registry.promote(models, versions[0])
    before = (models / "HISTORY").read_bytes()
    registry.promote(models, versions[0])
    assert (models / "HISTORY").read_bytes() == before


def test_a_line_without_its_current_is_of_no_consequence(models, versions, monkeypatch):
    a, b, c, *_ = versions
    registry.promote(models, a)
    registry.promote(models, b)
    write = registry.replace_text

    def cut(path, text):
        if path.name == "CURRENT":
            raise KeyboardInterrupt
        write(path, text)

    monkeypatch.setattr(registry, "replace_text", cut)
    with pytest.raises(KeyboardInterrupt):
        registry.promote(models, c)
    assert (registry.current_version(models), registry.previous_version(models)) == (b, a)


@pytest.mark.parametrize("name", ["../x", "", ".making-1"])
def test_only_versions_are_promoted(models, versions, name):
    registry.promote(models, versions[0])
    with pytest.raises(ModelError):
        registry.promote(models, name)
    assert registry.current_version(models) == versions[0]


def test_prune_keeps_the_newest_the_current_and_the_one_before(models, versions):
    registry.promote(models, versions[0])
    registry.promote(models, versions[1])
    cut = models / ".making-old"
    cut.mkdir()
    (cut / "manifest.json").write_text("{}", encoding="utf-8")
    fresh = models / ".making-now"
    fresh.mkdir()
    os.utime(cut, (0, 0))
    assert set(registry.list_versions(models)) == set(versions)
    assert registry.prune(models, keep=3, dry_run=True) == sorted(versions[2:4])
    assert set(registry.list_versions(models)) == set(versions)
    assert registry.prune(models, keep=3) == sorted(versions[2:4])
    assert set(registry.list_versions(models)) == {versions[0], versions[1], versions[4]}
    assert registry.prune(models, keep=1) == [versions[4]]
    assert sorted(p.name for p in models.iterdir() if p.name.startswith(".")) == [".making-now"]
    with pytest.raises(ModelError, match="use 1 or more"):
        registry.prune(models, keep=0)


def test_an_empty_registry_adopts_what_another_has_in_use(models, versions, tmp_path):
    registry.promote(models, versions[2])
    mine = tmp_path / "mine"
    assert registry.adopt(mine, models) == versions[2]
    assert registry.read_manifest(registry.model_path(mine)).version == versions[2]
    assert registry.adopt(mine, models) == versions[2]


def annotator(*args):
    code = "import sys; sys.argv[0] = 'annotator'; from annotator.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_commands_promote_roll_back_and_prune(models, versions):
    for version in versions[:2]:
        assert annotator("models", "promote", version, "--models", models).returncode == 0
    listed = annotator("models", "list", "--models", models).stdout
    assert f"*\t{versions[1]}\t2026-01-02" in listed
    assert annotator("models", "rollback", "--models", models).stderr == f"{versions[0]} is in use in {models}\n"
    again = annotator("models", "rollback", "--models", models)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert annotator("models", "prune", "--keep", "1", "--models", models).stdout.split() == sorted(versions[1:])


@pytest.mark.parametrize("line", ["[1]", "7", "{", "{}"])
def test_a_history_that_cannot_be_read_stops_prune_and_rollback(models, versions, line):
    registry.promote(models, versions[0])
    registry.promote(models, versions[1])
    path = models / "HISTORY"
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    for attempt in (lambda: registry.prune(models, keep=1), lambda: registry.previous_version(models)):
        with pytest.raises(ModelError, match="HISTORY: line 3 cannot be read"):
            attempt()
    assert set(registry.list_versions(models)) == set(versions)


def models_command(*args):
    return CliRunner().invoke(app, ["models", *map(str, args)])


def test_a_broken_version_is_named_and_the_others_are_listed_and_pruned(models, versions):
    registry.promote(models, versions[0])
    (models / versions[4] / "manifest.json").write_text("{", encoding="utf-8")
    listed = models_command("list", "--models", models)
    assert listed.exit_code == 1
    assert all(version in listed.stdout for version in versions[:4])
    assert listed.stderr.splitlines()[-1].startswith(f"left out: {models / versions[4] / 'manifest.json'}: is not JSON")
    pruned = models_command("prune", "--keep", "1", "--models", models)
    assert (pruned.exit_code, pruned.stdout.split()) == (1, sorted(versions[1:4]))
    assert versions[4] in pruned.stderr
    assert set(registry.list_versions(models)) == {versions[0], versions[4]}


@pytest.mark.parametrize("command", [["promote", "x"], ["rollback"], ["prune"]])
def test_the_registry_of_a_running_retraining_is_left_alone(models, versions, command):
    registry.promote(models, versions[0])
    with hold(models / ".lock", f"models {models}"):
        done = models_command(*command, "--models", models)
    assert isinstance(done.exception, LockedError)
    assert set(registry.list_versions(models)) == set(versions)


def test_a_registry_that_is_not_there_is_an_error(tmp_path):
    for command in (["list"], ["prune"], ["rollback"], ["promote", "x"]):
        done = models_command(*command, "--models", tmp_path / "nope")
        assert isinstance(done.exception, AnnotatorError)
        assert "no such folder" in str(done.exception)
    assert not (tmp_path / "nope").exists()


@pytest.fixture(scope="module")
def twins(repository, tmp_path_factory):
    """The shipped version, and the same with confidences that mean nothing; a gate of two pages."""
    import shutil  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("twins")
    shipped = registry.current_version(repository / "models")
    shutil.copytree(repository / "models" / shipped, folder / "models" / shipped)
    shutil.copytree(repository / "models" / shipped, folder / "new")
    manifest = registry.read_manifest(folder / "new")
    flat = Calibration(temperature=50.0, review_below=0.5)
    version = registry.write_manifest(folder / "new", manifest.windows, flat, manifest.details).version
    (folder / "new").rename(folder / "models" / version)
    registry.promote(folder / "models", shipped)
    lines = (repository / "labels" / "gate.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "labels").mkdir()
    (folder / "labels" / "gate.jsonl").write_text("".join(lines[:2]), encoding="utf-8")
    return folder, shipped, version


def test_the_gate_command_pins_judges_and_refuses(twins):
    folder, shipped, flat = twins
    given = ("--models", folder / "models", "--gate", folder / "labels" / "gate.json", "--resamples", "100")
    assert annotator("models", "gate", *given).returncode == 2, "there is no gate yet"
    done = annotator("models", "gate", *given, "--update")
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "labels" / "gate.json").read_text(encoding="utf-8"))["measured"] == shipped
    assert annotator("models", "gate", *given).stdout.endswith(f"{shipped} passes\n")
    refused = annotator("models", "gate", flat, *given, "--json", folder / "verdict.json")
    assert refused.returncode == 1, refused.stderr
    assert "REFUSED  calibration error on labels/gate" in refused.stdout
    verdict = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
    assert (verdict["champion"], verdict["challenger"], verdict["passed"]) == (shipped, flat, False)
    empty = annotator("models", "gate", *given[:2], "--gate", folder / "new.json", "--update")
    assert empty.returncode == 2
    assert "no pages to measure" in empty.stderr
    assert not (folder / "new.json").exists()
    lowered = annotator("models", "gate", flat, *given, "--update")
    assert lowered.returncode == 2
    assert "--allow-regression" in lowered.stderr


def test_the_compare_command_states_differences_and_flips(twins):
    folder, shipped, flat = twins
    done = annotator("models", "compare", shipped, flat, folder / "labels", "--models", folder / "models",
                     "--resamples", "100")  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert rows[0] == ["measure", f"{flat} - {shipped}"]
    # Ties after rounding may flip a segment; the temperature alone changes no label otherwise.
    assert float(rows[1][1].split()[0]) == pytest.approx(0.0, abs=0.05)
    assert [row for row in rows if row[0] == "page"] == [["page", "start", "end", "gold", shipped, flat]]
