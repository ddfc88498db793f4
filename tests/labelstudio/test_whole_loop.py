"""The whole loop on a real Label Studio, with a tiny champion in a registry of its own."""

from __future__ import annotations

import copy
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from scenario import GUIDE, new_title, tasks_of

from annotator.classifier import SegmentClassifier
from annotator.cli import app
from annotator.dataset import read_pages
from annotator.gatefile import read_gate, write_gate
from annotator.labelstudio.config import LABEL
from annotator.labelstudio.project import init, open_project
from annotator.labelstudio.push import push
from annotator.pipeline import score
from annotator.records import Label, Span
from annotator.registry import current_version, list_versions
from annotator.retraining.run import retrain
from annotator.retraining.steps import Project
from annotator.serve.model import CurrentModel

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from retraining_loop import LOOSE, make, settings
from typer.testing import CliRunner

# torch, transformers and the exporter announce their own deprecations; they are not ours to mend.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
PUSHED, REVIEWED = 40, 34


def corrected(task, page, *, label=None):
    """Return the prediction as a reviewer leaves it: every segment with its true label, or ``label``; and how many."""
    shown = max(task["predictions"], key=lambda item: item["id"])
    result, changed = copy.deepcopy(shown["result"]), 0
    for item in result:
        item["origin"] = "prediction"
        if item["from_name"] != LABEL:
            continue
        span = Span(item["value"]["start"], item["value"]["end"])
        true = label or truth(page, span)
        changed += item["value"]["labels"] != [true]
        item["value"]["labels"] = [str(true)]
    return [item for item in result if item["from_name"] == LABEL], shown["id"], changed


def truth(page, span):
    """Return the label of the gold segment that shares most with the span."""
    shared = {seg: min(seg.span.end, span.end) - max(seg.span.start, span.start) for seg in page.segments}
    return max(shared, key=shared.__getitem__).label


def versions_in(server, project):
    return {frozenset(item["model_version"] for item in task["predictions"]) for task in tasks_of(server, project)}


def test_from_reviewed_pages_to_a_new_model_and_back(server, repository, tmp_path, monkeypatch):
    torch.set_num_threads(1)
    folder = make(tmp_path / "loop", gate=3)
    models = folder / "models"
    champion = retrain(settings(folder)).version
    serving = CurrentModel(models, threads=1)
    assert serving.current().version == champion

    title = new_title("boucle")
    init(server, title, GUIDE)
    project = open_project(server, title)
    shipped = read_pages(repository / "labels" / "train.jsonl")
    shipped = sorted(shipped, key=lambda page: len(page.article.text))[:PUSHED]
    model = SegmentClassifier.load(models, threads=1)
    scored = [score(page.article, model) for page in shipped]
    assert push(server, project, lambda: iter(scored)).created == PUSHED
    pages = {page.article.article_id: page for page in shipped}
    work, corrections = {}, 0
    for task in tasks_of(server, project["id"])[:REVIEWED]:
        result, shown, changed = corrected(task, pages[task["data"]["article_id"]])
        body = {"result": result, "lead_time": 30.0, "parent_prediction": shown}
        work[task["id"]] = server.write("POST", f"api/tasks/{task['id']}/annotations/", body)["id"]
        corrections += changed
    assert corrections >= 200

    gate = read_gate(folder / "labels" / "gate.json")
    write_gate(folder / "labels" / "gate.json", replace(gate, limits=replace(LOOSE, point=-0.05)))
    there = Project(url=server.url, token=server._token, title=title)
    given = settings(folder, project=there, data=())
    done = retrain(given)
    assert done.passed, done.lines
    assert done.steps == dict.fromkeys(done.steps, "done")
    assert len(done.steps) == 9
    assert current_version(models) == done.version != champion
    assert serving.current().version == done.version
    assert open_project(server, title)["model_version"] == done.version
    assert versions_in(server, project["id"]) == {frozenset({champion, done.version})}
    trained_on = {page.article.article_id for page in read_pages(given.reviewed)}
    assert len(trained_on) == REVIEWED
    assert retrain(given).steps == dict.fromkeys(done.steps, "unchanged") | {"pull": "done"}

    monkeypatch.setenv("LABEL_STUDIO_API_KEY", server._token)
    arguments = ["models", "rollback", "--models", str(models), "--project", title, "--url", server.url]
    back = CliRunner().invoke(app, arguments)
    assert back.exit_code == 0, back.output
    assert current_version(models) == serving.current().version == champion
    assert open_project(server, title)["model_version"] == champion
    assert retrain(given).steps["promote"].startswith(f"unchanged: {done.version} was taken out of use since")
    assert current_version(models) == champion

    for task in tasks_of(server, project["id"])[:REVIEWED]:
        result, *_ = corrected(task, pages[task["data"]["article_id"]], label=Label.ATTRIBUTED_QUOTE)
        server.write("PATCH", f"api/annotations/{work[task['id']]}/", {"result": result})
    before = versions_in(server, project["id"])
    refused = retrain(given)
    assert refused.passed is False
    assert any(line.startswith("REFUSED  macro-F1 difference on labels/gate") for line in refused.lines)
    assert any(line.startswith("worst ") for line in refused.lines)
    assert refused.version in list_versions(models)
    assert current_version(models) == serving.current().version == champion
    assert open_project(server, title)["model_version"] == champion
    assert versions_in(server, project["id"]) == before
