"""The whole cycle on a real server, step by step, and what must hold at its end, whatever was cut on the way."""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from itertools import count
from pathlib import Path

import pytest
from scored_pages import NASTY, PAGE, scored

from annotator.labelstudio.client import Server, ServerError
from annotator.labelstudio.config import guide_path, read_guide
from annotator.labelstudio.index import read_index
from annotator.labelstudio.project import init, open_project
from annotator.labelstudio.pull import pull
from annotator.labelstudio.push import PushOptions, push

MISSING = "label-studio-sdk is not installed (pip install 'annotator[labelstudio]')"
pytest.importorskip("label_studio_sdk", reason=MISSING)
httpx = pytest.importorskip("httpx", reason=MISSING)

GUIDE = read_guide(guide_path())
ARTICLES = 5
_titles = count(1)


def new_title(stem="essai"):
    return f"{stem} {next(_titles)}"


def pages(version="v1", articles=ARTICLES):
    shift = 0 if version == "v1" else 1
    texts = [NASTY, *(f"{PAGE}\nPage numéro {n}." for n in range(1, articles))]
    return [scored(text, f"a{n}", version=version, shift=shift) for n, text in enumerate(texts)]


def source(version="v1", articles=ARTICLES):
    return lambda: iter(pages(version, articles))


def tasks_of(server, project, fields="all"):
    answer = server.get("api/tasks/", {"project": project, "fields": fields, "page_size": 1000})
    return answer["tasks"]


def annotate(server, task, *, accept=True, label="boilerplate", **fields):
    """Submit the prediction as it is, or with the first label changed."""
    shown = max(task["predictions"], key=lambda item: item["id"])
    result = copy.deepcopy(shown["result"])
    for item in result:
        item["origin"] = "prediction"
    if not accept:
        result[0]["value"]["labels"] = [label]
    body = {"result": result, "lead_time": 4.5, "parent_prediction": shown["id"], **fields}
    return server.write("POST", f"api/tasks/{task['id']}/annotations/", body)


class Cycle:
    """One project from init to pull; ``direct`` speaks to the server without the proxy."""

    def __init__(self, direct: Server, title: str, folder: Path, *, url=None, patience=2.0, settled=None):
        self.direct, self.title, self.folder = direct, title, folder
        self.url, self.patience = url or direct.url, patience
        self.output = folder / f"{title.replace(' ', '-')}.jsonl"
        # A request that comes through late may leave doubles behind its own push; the next push must remove them.
        wait = settled or (lambda: None)
        self.steps = (
            *(self.init, self.update, self.push, wait, self.clean, self.annotate),
            *(self.push_new, wait, self.init, self.push_new, self.pull),
        )
        self.reruns = 0

    def client(self):
        return Server(self.url, self.direct._token, write_timeout=self.patience)

    def run(self):
        for step in self.steps:
            for _ in range(3):
                try:
                    step()
                    break
                except ServerError:
                    self.reruns += 1
            else:
                step()
        return self

    def init(self):
        with self.client() as server:
            init(server, self.title, GUIDE)

    def update(self):
        """Spoil a setting, then have it mended."""
        project = open_project(self.direct, self.title)
        self.direct.write("PATCH", f"api/projects/{project['id']}/", {"show_skip_button": False})
        with self.client() as server:
            assert init(server, self.title, GUIDE, update=True).applied

    def push(self):
        with self.client() as server:
            project = open_project(server, self.title)
            push(server, project, source(), PushOptions(batch_bytes=6000))

    def clean(self):
        """Plant a double, as another machine might, then have it removed."""
        project = open_project(self.direct, self.title)
        if len(tasks_of(self.direct, project["id"], "task_only")) == ARTICLES:
            first = tasks_of(self.direct, project["id"])[0]
            copied = {
                "data": first["data"],
                "predictions": [{k: first["predictions"][0][k] for k in ("model_version", "score", "result")}],
            }
            self.direct.write("POST", f"api/projects/{project['id']}/import", [copied])
        self.push()

    def annotate(self):
        """Someone works, straight on the server: three pages accepted, one changed, one skipped."""
        project = open_project(self.direct, self.title)
        tasks = tasks_of(self.direct, project["id"])
        for number, task in enumerate(tasks):
            if not task["annotations"]:
                annotate(self.direct, task, accept=number != 1, was_cancelled=number == 2)

    def push_new(self):
        with self.client() as server:
            project = open_project(server, self.title)
            push(server, project, source("v2"), PushOptions(batch_bytes=6000, keep=1))

    def pull(self):
        with self.client() as server:
            pull(server, open_project(server, self.title), self.output)

    def problems(self):
        """Return what is wrong at the end; empty when nothing was doubled, dropped or shifted."""
        found = []
        project = open_project(self.direct, self.title)
        if project["model_version"] != "v2":
            found.append(f"model version {project['model_version']}")
        tasks = tasks_of(self.direct, project["id"])
        articles = Counter(task["data"]["article_id"] for task in tasks)
        if articles != Counter(f"a{n}" for n in range(ARTICLES)):
            found.append(f"tasks {dict(articles)}")
        for task in tasks:
            versions = [item["model_version"] for item in task["predictions"]]
            if versions != ["v2"]:
                found.append(f"task {task['id']}: predictions {versions}")
            if len(task["annotations"]) != 1:
                found.append(f"task {task['id']}: {len(task['annotations'])} annotations")
        if any(len(state.versions) != state.predictions for state in read_index(self.direct, project["id"])):
            found.append("the index counts predictions twice")
        before = self.output.read_bytes()
        pull(self.direct, project, self.output, full=True)
        if self.output.read_bytes() != before:
            found.append("a second pull gives other bytes")
        return found

    def content(self):
        """Return the pulled pages without what differs from project to project."""
        own = {"task_id", "annotation_id", "prediction_id", "created_at", "updated_at"}
        records = [json.loads(line) for line in self.output.read_text(encoding="utf-8").splitlines()]
        for record in records:
            record["annotations"] = [{k: v for k, v in a.items() if k not in own} for a in record["annotations"]]
        return json.dumps(records, sort_keys=True)


def second_person(server: Server, email="merle@example.org", password="motdepasse456"):  # noqa: S107 -- of a test
    """Sign somebody up by the invitation link, as an annotator would; return their legacy token."""
    invite = server.get("api/invite")["invite_url"]
    base = server.url.rstrip("/")
    with httpx.Client(base_url=base, timeout=60) as browser:
        form = browser.get(invite).text
        guard = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)[1]
        fields = {"csrfmiddlewaretoken": guard, "email": email, "password": password, "allow_newsletters": "false"}
        answer = browser.post(invite, data=fields, headers={"Referer": base + invite})
        if answer.status_code != 302:  # they are there already
            form = browser.get("/user/login/").text
            guard = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)[1]
            fields = {"csrfmiddlewaretoken": guard, "email": email, "password": password}
            browser.post("/user/login/", data=fields, headers={"Referer": base + "/user/login/"})
        return browser.get("/api/current-user/token").json()["token"]


def personal_token(server: Server):
    """Make a personal access token for the server's first user."""
    server.write("POST", "api/jwt/settings", {"api_tokens_enabled": True, "legacy_api_tokens_enabled": True})
    return server.write("POST", "api/token/")["token"]
