"""The retraining loop without Label Studio: resumed, skipped, locked, refused; killed at every step in turn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from retraining_loop import LOOSE, make, relabelled, settings

from annotator.classifier import SegmentClassifier
from annotator.curation import DatasetRules
from annotator.dataset import read_pages, write_pages
from annotator.errors import InputError
from annotator.gate import TIME
from annotator.gatefile import read_gate, write_gate
from annotator.labelstudio.lock import LockedError, hold
from annotator.records import Label
from annotator.registry import current_version, list_versions, promote, read_manifest
from annotator.retraining.run import retrain
from annotator.retraining.steps import Run, still_there
from annotator.training.fit import TrainConfig
from annotator.training.recipe import Recipe

# torch, transformers and the exporter announce their own deprecations; they are not ours to mend.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
torch.set_num_threads(1)  # as the runs that are killed: sums in another order would give another version
STEPS = ["pull", "check", "dataset", "train", "export", "evaluate", "gate", "promote"]


@pytest.fixture(scope="module")
def loop(tmp_path_factory):
    """A loop that ran once: its folder and what came out."""
    folder = make(tmp_path_factory.mktemp("loop"))
    before = retrain(settings(folder), dry_run=True)
    assert not (folder / "loop").exists()
    assert before.steps == {"pull": "unchanged"} | dict.fromkeys(STEPS[1:], "would run")
    return folder, retrain(settings(folder))


def test_the_first_run_puts_a_version_in_use_with_its_lineage(loop):
    folder, outcome = loop
    assert outcome.steps == {"pull": "unchanged", **dict.fromkeys(STEPS[1:], "done")}
    assert outcome.passed
    assert current_version(folder / "models") == outcome.version
    details = read_manifest(folder / "models" / outcome.version).details
    record = json.loads((outcome.folder / "config.json").read_text(encoding="utf-8"))
    assert details["lineage"]["dataset"] == record["dataset"]["digest"] == details["train_digest"]
    assert details["lineage"]["annotations"] == record["dataset"]["annotations"]
    assert details["review"]["risk"] == 0.02
    metrics = json.loads((folder / "models" / outcome.version / "metrics.json").read_text("utf-8"))
    assert set(metrics) == {"labels/gate", "error"}
    assert SegmentClassifier(folder / "models" / outcome.version).error is not None  # profiles are corrected with it
    card = (folder / "models" / outcome.version / "README.md").read_text("utf-8")
    assert f"# {outcome.version}" in card
    assert "train.jsonl, with 0 annotations of reviewers" in card
    assert (folder / "models" / outcome.version / "reliability.svg").is_file()
    assert "gate: done" in (folder / "loop" / "log.txt").read_text(encoding="utf-8")


def test_a_second_run_does_nothing(loop):
    folder, first = loop
    again = retrain(settings(folder))
    assert again.steps == dict.fromkeys(STEPS, "unchanged")
    assert (again.version, again.passed) == (first.version, True)


def test_what_was_rolled_back_is_not_promoted_again(loop):
    folder, first = loop
    other = retrain(settings(folder, recipe=replace(settings(folder).recipe, seeds=(2,))))
    assert other.version != first.version
    assert current_version(folder / "models") == other.version
    promote(folder / "models", first.version, back=True)
    for changed in ({}, {"resamples": 101}):  # judged anew, it is still the version that somebody took back
        again = retrain(settings(folder, recipe=replace(settings(folder).recipe, seeds=(2,)), **changed))
        assert again.steps["promote"].startswith(f"unchanged: {other.version} was taken out of use since")
        assert again.steps["gate"] == ("done" if changed else "unchanged")
        assert current_version(folder / "models") == first.version


def _reviewed(path, origin, *, annotation=7, codebook=1):
    """Write the pages of ``path`` with one annotation each, and return where."""
    pages = read_pages(path)
    found = [
        replace(page, annotations=({
            "annotator": "annotator-1", "annotation_id": annotation + number, "task_id": number, "codebook": codebook,
            "segments": [item | {"origin": origin} for item in page.to_dict()["segments"]],
        },))
        for number, page in enumerate(pages)
    ]  # fmt: skip
    out = path.with_name(f"{origin}-{annotation}-{codebook}.jsonl")
    write_pages(found, out)
    return out


def test_weights_and_annotations_make_another_dataset(loop):
    folder, _ = loop
    runs = {}
    for origin, annotation in (("drawn", 7), ("kept", 7), ("drawn", 700)):
        data = _reviewed(folder / "train.jsonl", origin, annotation=annotation)
        done = retrain(settings(folder, workspace=folder / "weights", data=(data,)), until="dataset")
        found = json.loads((folder / "weights" / "steps" / "dataset.json").read_text("utf-8"))["result"]
        assert sorted(found["annotations"]) == list(range(annotation, annotation + found["pages"]))
        assert found["origins"][origin] == found["segments"]
        runs[origin, annotation] = done.folder, found["digest"]
    assert len({made for made, _ in runs.values()}) == 3
    assert len({digest for _, digest in runs.values()}) == 2  # who says it changes no weight


def test_codebooks_are_mixed_only_when_allowed(loop):
    folder, _ = loop
    old = _reviewed(folder / "train.jsonl", "drawn", codebook=0)
    pages = read_pages(folder / "train.jsonl")
    write_pages(pages[:1], folder / "one.jsonl")
    given = {"workspace": folder / "mixed", "data": (old, folder / "one.jsonl")}
    with pytest.raises(InputError, match="several codebooks"):
        retrain(settings(folder, **given), until="dataset")
    retrain(settings(folder, **given, rules=DatasetRules(allow=True)), until="dataset")


@pytest.mark.parametrize(("wrong", "said"), [
    ({"risk": 7.0}, "between 0 and 1"), ({"folds": 1}, "hold out no more"), ({"held_out": 9}, "9 folds of 5"),
    ({"seeds": ()}, "0 seeds"), ({"config": replace(TrainConfig(), epochs=0)}, "0 epochs"),
    ({"warm_start": Path("nowhere")}, "no such file or folder"),
])  # fmt: skip
def test_what_would_fail_after_hours_is_refused_at_once(wrong, said):
    with pytest.raises(InputError, match=said):
        Recipe(**wrong)


def test_data_that_is_not_there_is_named(loop):
    folder, _ = loop
    with pytest.raises(InputError, match=r"nowhere\.jsonl: no such file"):
        settings(folder, data=(folder / "nowhere.jsonl",))


def test_a_refusal_for_time_alone_is_judged_again(loop):
    run = Run(settings=settings(loop[0]))
    assert still_there(run, "gate", {"failed": []})
    assert still_there(run, "gate", {"failed": [TIME, "megabytes"]})
    assert not still_there(run, "gate", {"failed": [TIME]})


def test_a_poisoned_set_is_refused_and_nothing_changes(loop):
    folder, _ = loop
    gate = read_gate(folder / "labels" / "gate.json")
    strict = folder / "labels" / "strict.json"
    write_gate(strict, replace(gate, limits=replace(LOOSE, point=-0.05)))
    bad = [relabelled(page, Label.ATTRIBUTED_QUOTE) for page in read_pages(folder / "train.jsonl")]
    write_pages(bad, folder / "bad.jsonl")
    given = settings(folder, data=(folder / "bad.jsonl",), gate=strict)
    in_use = current_version(folder / "models")
    refused = retrain(given)
    assert refused.passed is False
    assert list(refused.steps)[-1] == "gate"
    assert any(line.startswith("REFUSED  macro-F1 difference on labels/gate") for line in refused.lines)
    assert any(line.startswith("worst ") for line in refused.lines)
    assert current_version(folder / "models") == in_use
    assert refused.version in list_versions(folder / "models")
    again = retrain(given)
    assert (again.passed, set(again.steps.values())) == (False, {"unchanged"})


def test_until_stops_and_a_broken_page_stops_before_training(loop):
    folder, _ = loop
    assert list(retrain(settings(folder, workspace=folder / "other"), until="dataset").steps) == STEPS[:3]
    with pytest.raises(InputError, match="no such step"):
        retrain(settings(folder), until="fly")
    text = (folder / "train.jsonl").read_text(encoding="utf-8")
    (folder / "broken.jsonl").write_text(text.replace('"label":"boilerplate"', '"label":"ad"', 1), encoding="utf-8")
    with pytest.raises(InputError, match=r"broken\.jsonl"):
        retrain(settings(folder, data=(folder / "broken.jsonl",)))
    gate = read_pages(folder / "labels" / "gate.jsonl")
    write_pages(gate, folder / "gate-only.jsonl")
    with pytest.raises(InputError, match="none is left to train on"):
        retrain(settings(folder, data=(folder / "gate-only.jsonl",)))


def test_two_runs_at_once_are_refused(loop):
    folder, _ = loop
    with hold(folder / "models" / ".lock", "models"), pytest.raises(LockedError, match="another run"):
        retrain(settings(folder))
    with hold(folder / "loop" / ".lock", "workspace"), pytest.raises(LockedError, match="another run"):
        retrain(settings(folder))


def test_killed_at_every_step_it_ends_with_the_same_version(loop, tmp_path, repository):
    _, unbroken = loop
    folder = make(tmp_path / "killed")
    done = subprocess.run(
        [sys.executable, "retraining_loop.py", str(folder)],
        cwd=repository / "tests", capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    *killed, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["step"] for line in killed] == STEPS
    assert all(line["killed"] for line in killed)
    assert [line["use"] for line in killed] == [None] * 7 + [unbroken.version], "in use only when the gate is passed"
    assert (last["version"], last["passed"]) == (unbroken.version, True)
    assert last["steps"] == dict.fromkeys(STEPS[:-1], "unchanged") | {"promote": "done"}
    assert list_versions(folder / "models") == [unbroken.version]


def test_the_script_says_what_each_step_did(loop, repository):
    folder, first = loop
    command = [
        sys.executable, "scripts/retrain.py", "--workspace", str(folder / "loop"), "--data",
        str(folder / "train.jsonl"), "--models", str(folder / "models"), "--gate", str(folder / "labels/gate.json"),
        "--base", str(folder / "base"), "--folds", "2", "--quantisation", "none", "--device", "cpu",
        "--resamples", "100",
        "--set", "epochs=1", "pack_tokens=512", "windows.max_tokens=256", "windows.context_tokens=32",
    ]  # fmt: skip
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=300, check=False, env=env)
    assert (done.returncode, done.stdout.strip()) == (0, first.version), done.stderr[-2000:]
    assert "train\tunchanged" in done.stderr
    dry = subprocess.run([*command, "--set", "epochs=2", "--dry-run"], cwd=repository, capture_output=True, text=True,
                         timeout=300, check=False)  # fmt: skip
    assert dry.returncode == 0
    assert "train\twould run" in dry.stderr
