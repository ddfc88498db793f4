"""The ML backend behind a real Label Studio: connected by its API, asked for predictions, hooked to pulls."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from functools import partial

import pytest
from scenario import GUIDE, annotate, new_title, tasks_of
from scored_pages import NASTY, PAGE

from annotator.labelled import read_pages
from annotator.labelstudio.convert import prediction, task_data
from annotator.labelstudio.project import init, open_project
from annotator.labelstudio.pull import pull
from annotator.pipeline import score
from annotator.records import Article
from annotator.serve.model import CurrentModel

MISSING = "an extra is not installed (pip install 'annotator[labelstudio,serve]')"
uvicorn = pytest.importorskip("uvicorn", reason=MISSING)
create_app = pytest.importorskip("annotator.serve.app", reason=MISSING, exc_type=ImportError).create_app


@contextmanager
def running(app):
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False, timeout_graceful_shutdown=5))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        assert wait_for(lambda: server.started)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)


def wait_for(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def test_label_studio_asks_it_for_predictions_and_its_hooks_pull(server, repository, tmp_path):
    model = CurrentModel(repository / "models", threads=1)
    title = new_title("backend")
    init(server, title, GUIDE)
    project = open_project(server, title)
    articles = [Article(article_id="a0", text=PAGE, title="Le port"), Article(article_id="a1", text=NASTY)]
    server.write("POST", f"api/projects/{project['id']}/import", [{"data": task_data(a)} for a in articles])
    output = tmp_path / "labelstudio.jsonl"
    app = create_app(model, pull=partial(pull, server, project, output), pull_pause=0.1)
    with running(app) as url:
        connected = server.write("POST", "api/ml/", {"url": url, "project": project["id"], "title": "annotator"})
        assert connected["state"] == "CO", connected.get("error_message")
        ids = [task["id"] for task in tasks_of(server, project["id"])]
        server.write(
            "POST", "api/dm/actions", {"selectedItems": {"all": False, "included": ids}, "project": project["id"]},
            {"id": "retrieve_tasks_predictions", "project": project["id"]},
        )  # fmt: skip
        assert wait_for(lambda: all(task["predictions"] for task in tasks_of(server, project["id"])))
        tasks = tasks_of(server, project["id"])
        for article, task in zip(articles, tasks, strict=True):
            (found,) = task["predictions"]
            wanted = prediction(score(article, model.loaded))
            assert found["model_version"] == wanted["model_version"]
            assert found["score"] == pytest.approx(wanted["score"])
            assert found["result"] == wanted["result"]
        annotate(server, tasks[0])
        assert wait_for(lambda: output.exists() and [p.article.article_id for p in read_pages(output)] == ["a0"])
