"""Against a real Label Studio: views, the review queue, blind tasks, and a decision that comes back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scenario import GUIDE, annotate, new_title, pages, source, tasks_of

from annotator.dataset import read_pages
from annotator.errors import InputError
from annotator.labelstudio.index import read_index
from annotator.labelstudio.project import init, open_project
from annotator.labelstudio.pull import pull
from annotator.labelstudio.push import PushOptions, is_blind, push
from annotator.labelstudio.queue import write_queue
from annotator.labelstudio.relabel import relabel
from annotator.labelstudio.views import ADJUDICATION, QUEUE, task_ids, write_tasks_view
from annotator.merging import origins, undecided
from annotator.records import LABELS
from annotator.review.queue import QueueRules


@pytest.fixture
def project(server):
    title = new_title("relecture")
    init(server, title, GUIDE)
    return open_project(server, title)


def views(server, project):
    listed = server.get("api/dm/views/", {"project": project["id"]})
    return {view["data"]["title"]: view for view in listed}


def seen_in(server, project, title):
    """Return the articles that a view shows, in its order."""
    view = views(server, project)[title]
    answer = server.get("api/tasks/", {"view": view["id"], "project": project["id"], "fields": "task_only"})
    return [task["data"]["article_id"] for task in answer["tasks"]]


def test_a_view_shows_the_tasks_it_names_and_is_replaced_by_the_next(server, project):
    push(server, project, source())
    key = project["id"]
    first = write_tasks_view(server, key, ADJUDICATION, task_ids(server, key, ["a3", "a1", "a3", "gone"]))
    assert (first.tasks, first.left) == (2, 0)
    assert sorted(seen_in(server, project, ADJUDICATION)) == ["a1", "a3"]
    write_tasks_view(server, key, ADJUDICATION, task_ids(server, key, ["a2"]))
    assert seen_in(server, project, ADJUDICATION) == ["a2"]
    write_tasks_view(server, key, ADJUDICATION, [])
    assert seen_in(server, project, ADJUDICATION) == []
    assert list(views(server, project)).count(ADJUDICATION) == 1


def unsure(scored, confidence):
    rest = (1 - confidence) / 3
    segments = tuple(
        replace(s, confidence=confidence, probabilities={o: confidence if o is s.label else rest for o in LABELS})
        for s in scored.segments
    )
    return replace(scored, segments=segments)


def test_the_queue_orders_the_view_and_label_all_tasks_and_leaves_what_is_done(server, project):
    scored = [unsure(page, c) for page, c in zip(pages(), (0.9, 0.4, 0.99, 0.6, 0.5), strict=True)]
    scored = [replace(p, article=replace(p.article, outlet=f"Journal {n}")) for n, p in enumerate(scored)]
    push(server, project, lambda: iter(scored))
    push(server, project, lambda: (replace(p, model_version="v2") for p in scored), PushOptions(switch=True))
    rules = QueueRules(random_share=0)
    report = write_queue(server, project, scored, rules=rules)
    order = [place.article_id for place in report.places]
    assert order == ["a1", "a4", "a3", "a0", "a2"]
    assert report.scores_changed == 10  # of both versions
    assert seen_in(server, project, QUEUE) == order
    assert write_queue(server, project, scored, rules=rules).scores_changed == 0
    following = server.get(f"api/projects/{project['id']}/next/")
    assert following["data"]["article_id"] == "a1"

    done = next(t for t in tasks_of(server, project["id"]) if t["data"]["article_id"] == "a1")
    annotate(server, done)
    report = write_queue(server, project, scored, rules=rules)
    assert (report.done, [place.article_id for place in report.places]) == (1, ["a4", "a3", "a0", "a2"])
    assert seen_in(server, project, QUEUE) == ["a4", "a3", "a0", "a2"]


def test_with_two_annotators_a_task_what_is_begun_comes_first(server, project):
    server.write("PATCH", f"api/projects/{project['id']}/", {"maximum_annotations": 2})
    project = open_project(server, project["title"])
    scored = pages()
    push(server, project, source())
    begun = next(t for t in tasks_of(server, project["id"]) if t["data"]["article_id"] == "a4")
    annotate(server, begun)
    report = write_queue(server, project, scored[1:], rules=QueueRules(random_share=0))
    assert (report.begun, report.done, report.unknown) == (1, 0, 1)
    assert report.places[0].article_id == "a4"
    assert seen_in(server, project, QUEUE)[0] == "a4"
    assert seen_in(server, project, QUEUE)[-1] == "a0"  # not scored: last
    annotate(server, begun)
    assert write_queue(server, project, scored).done == 1
    with pytest.raises(InputError, match="1 articles come twice"):
        write_queue(server, project, [*scored, replace(scored[1])])


def test_blind_tasks_show_no_prediction_whatever_version_comes(server, project):
    share = 0.5
    expected = {f"a{n}" for n in range(5) if is_blind(f"a{n}", share)}
    assert 0 < len(expected) < 5
    report = push(server, project, source(), PushOptions(blind=share))
    assert report.blind == len(expected)
    push(server, project, source("v2"))
    for task in tasks_of(server, project["id"]):
        shown = [bool(item["result"]) for item in task["predictions"]]
        assert shown == [task["data"]["article_id"] not in expected] * 2
    assert {s.key[0] for s in read_index(server, project["id"]) if s.blind} == expected
    assert push(server, project, source("v2")).left_alone == 5


def test_a_tie_goes_to_the_view_and_the_star_brings_the_decision_back(server, project, tmp_path):
    push(server, project, source())
    task = tasks_of(server, project["id"])[1]
    annotate(server, task)
    result = [dict(item) for item in task["predictions"][0]["result"]]
    result.append(result[0] | {"from_name": "discuss", "type": "choices", "value": {
        "start": result[0]["value"]["start"], "end": result[0]["value"]["end"], "choices": ["yes"],
    }})  # fmt: skip
    server.write("POST", f"api/tasks/{task['id']}/annotations/", {"result": result})
    output = tmp_path / "pulled.jsonl"
    pull(server, project, output)
    (page,) = read_pages(output)
    assert [item.reason for item in undecided(page)] == ["discuss"]
    decision = annotate(server, task, accept=False, label="editorial_framing")
    server.write("PATCH", f"api/annotations/{decision['id']}/", {"ground_truth": True})
    pull(server, project, output)
    (page,) = read_pages(output)
    assert undecided(page) == []
    assert set(origins(page)) == {"decided"}
    assert page.segments[0].label == "editorial_framing"


def test_a_label_that_this_version_no_longer_has_is_renamed_on_the_server(server, project, tmp_path):
    push(server, project, source(articles=2))
    annotate(server, tasks_of(server, project["id"])[0])
    annotate(server, tasks_of(server, project["id"])[1], accept=False, label="editorial_framing")
    key, backup = project["id"], tmp_path / "before.json"
    renames = {"boilerplate": "editorial_framing"}
    would = relabel(server, project, renames, backup, dry_run=True)
    assert not backup.exists()
    assert would.regions["boilerplate"] > 0
    assert relabel(server, project, renames, backup) == would
    assert "boilerplate" in backup.read_text(encoding="utf-8")
    after = server.get(f"api/projects/{key}/")["label_config"]
    assert 'alias="boilerplate"' not in after
    assert relabel(server, project, renames, backup).results == 0
    output = tmp_path / "pulled.jsonl"
    pull(server, project, output)
    first, second = read_pages(output)
    assert {seg.label for page in (first, second) for seg in page.segments}.isdisjoint({"boilerplate"})
    assert first.annotations[0]["accepted"]  # kept as predicted, under the new name
    assert [seg["origin"] for seg in second.annotations[0]["segments"]].count("changed") == 1
    with pytest.raises(InputError, match="unknown label 'weather'"):
        relabel(server, project, {"boilerplate": "weather"}, backup)
