"""Against a real Label Studio: what is there is never doubled, dropped or shifted."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
from scenario import GUIDE, annotate, new_title, pages, personal_token, second_person, source, tasks_of
from scored_pages import NASTY, PAGE, linked, long_page, scored

from annotator.dataset import read_pages
from annotator.errors import InputError
from annotator.labelstudio.client import Server
from annotator.labelstudio.config import labelling_config
from annotator.labelstudio.index import read_index
from annotator.labelstudio.project import LabelInUseError, init, open_project
from annotator.labelstudio.pull import pull, quarantine_path, state_path
from annotator.labelstudio.push import PushOptions, push
from annotator.labelstudio.status import status
from annotator.storage import write_scored


@pytest.fixture
def title(server):
    name = new_title("sync")
    init(server, name, GUIDE)
    return name


@pytest.fixture
def project(server, title):
    return open_project(server, title)


def articles_of(server, project):
    return sorted(task["data"]["article_id"] for task in tasks_of(server, project["id"], "task_only"))


def versions_of(server, project):
    return [state.versions for state in read_index(server, project["id"])]


def test_init_twice_changes_nothing(server):
    name = new_title("deux fois")
    first = init(server, name, GUIDE)
    before = open_project(server, name)
    again = init(server, name, GUIDE, update=True)
    assert (first.created, again.created) == (True, False)
    assert first.project_id == again.project_id
    assert again.diff == ()
    assert open_project(server, name) == before
    assert "<h1>" in before["expert_instruction"]


def test_a_config_that_differs_is_shown_and_applied_only_when_asked(server, title, project):
    guide = GUIDE.replace("le média ou l’auteur parle-t-il", "la rédaction parle-t-elle").replace(
        "Le média ou l’auteur parle-t-il", "La rédaction parle-t-elle"
    )
    shown = init(server, title, guide)
    assert not shown.applied
    assert any("La rédaction" in line for line in shown.diff if line.startswith("+"))
    assert open_project(server, title)["label_config"] == project["label_config"]
    assert init(server, title, guide, update=True).applied
    assert init(server, title, guide).diff == ()


def test_a_label_in_use_is_not_dropped(server, title, project, monkeypatch):
    push(server, project, source())
    real = "annotator.labelstudio.project.project_settings"
    wanted = {"label_config": project["label_config"].replace('alias="boilerplate"', 'alias="furniture"')}
    monkeypatch.setattr(real, lambda _: wanted)
    with pytest.raises(LabelInUseError, match="label: 'boilerplate' is in use"):
        init(server, title, GUIDE, update=True)
    assert open_project(server, title)["label_config"] == project["label_config"]


def test_push_twice_makes_each_task_and_prediction_once(server, project):
    first = push(server, project, source(), PushOptions(batch_bytes=4000))
    again = push(server, project, source())
    assert (first.created, again.created, again.predicted, again.left_alone) == (5, 0, 0, 5)
    assert articles_of(server, project) == [f"a{n}" for n in range(5)]
    assert [task["total_predictions"] for task in tasks_of(server, project["id"])] == [1] * 5


def test_a_dry_run_writes_nothing(server, project):
    report = push(server, project, source(), PushOptions(dry_run=True))
    assert report.created == 5
    assert tasks_of(server, project["id"]) == []


def test_a_dry_run_says_what_the_run_then_does(server, project, title):
    push(server, project, source())
    tasks = tasks_of(server, project["id"])
    server.write("POST", f"api/projects/{project['id']}/import", [{"data": tasks[0]["data"]}])
    shown = status(server, open_project(server, title), source=source("v2")).push
    for version, articles in (("v2", 5), ("v3", 2), ("v3", 5)):
        before = (tasks_of(server, project["id"]), open_project(server, title)["model_version"])
        foreseen = push(server, project, source(version, articles), PushOptions(keep=1, dry_run=True))
        assert (tasks_of(server, project["id"]), open_project(server, title)["model_version"]) == before
        assert foreseen == push(server, project, source(version, articles), PushOptions(keep=1))
        if version == "v2":
            assert (shown.predicted, shown.switched, shown.doubles_removed) == (5, True, 1)
            assert (foreseen.switched, foreseen.pruned, foreseen.doubles_removed) == (True, ["v1"], 1)
    assert (foreseen.predicted, foreseen.switched, foreseen.pruned) == (3, True, ["v2"])


def test_only_what_is_new_is_added(server, project):
    push(server, project, source(articles=3))
    report = push(server, project, source(articles=5))
    assert (report.created, report.left_alone) == (2, 3)


def test_one_broken_article_stops_no_other(server, project):
    good, other = pages()[:2]
    bad = replace(good, article=replace(good.article, article_id="bad", text="  "), segments=())
    report = push(server, project, lambda: iter([bad, good, good, other]))
    assert report.created == 2
    assert len(report.failed) == 2
    assert "comes twice" in report.failed[1]


def test_a_text_that_changed_is_reported_and_added_when_asked(server, project):
    push(server, project, lambda: iter([scored(PAGE, "p1")]))
    newer = scored(PAGE + "\nUn ajout.", "p1")
    report = push(server, project, lambda: iter([newer]))
    assert (report.created, report.changed) == (0, ["p1"])
    report = push(server, project, lambda: iter([newer]), PushOptions(changed=True))
    assert report.created == 1
    assert articles_of(server, project) == ["p1", "p1"]
    assert push(server, project, lambda: iter([newer]), PushOptions(changed=True)).created == 0


def test_round_trip_of_any_character_and_of_long_pages(server, project, tmp_path):
    sent = [scored(NASTY, "n"), scored(long_page(300), "long"), scored("\r\n\r\nUn\rmot \u2028 fin\r\n", "cr")]
    push(server, project, lambda: iter(sent))
    for task in tasks_of(server, project["id"]):
        annotate(server, task)
    pull(server, project, tmp_path / "out.jsonl")
    found = {page.article.article_id: page for page in read_pages(tmp_path / "out.jsonl")}
    assert len(found["long"].segments) == 300
    for page in sent:
        back = found[page.article.article_id]
        assert back.article == page.article
        assert [(s.span, s.label, s.attribution, s.unverified) for s in back.segments] == [
            (s.span, s.label, s.attribution, s.unverified) for s in page.segments
        ]
        assert back.annotations[0]["accepted"] is True


def test_arrows_and_words_of_anonymity_make_the_round_trip(server, project, tmp_path):
    page = linked()
    push(server, project, lambda: iter([page]))
    (task,) = tasks_of(server, project["id"])
    assert sum(item["type"] == "relation" for item in task["predictions"][0]["result"]) == 2
    annotate(server, task)
    out = tmp_path / "out.jsonl"
    pull(server, project, out)
    (found,) = read_pages(out)
    assert found.annotations[0]["accepted"] is True
    assert [(s.attribution, s.unverified) for s in found.segments] == [
        (s.attribution, s.unverified) for s in page.segments
    ]


def test_a_project_of_an_older_version_is_updated_before_it_takes_what_is_new(server, title, project):
    old = labelling_config(GUIDE).replace('alias="anonymity_reason"', 'alias="other"')
    server.write("PATCH", f"api/projects/{project['id']}/", {"label_config": old})
    with pytest.raises(InputError, match=r"lacks mark=anonymity_reason: run  annotator labelstudio init --update"):
        push(server, open_project(server, title), source())
    assert init(server, title, GUIDE, update=True).applied
    assert push(server, open_project(server, title), source()).created == 5


def test_two_people_and_pull_twice(server, label_studio, project, tmp_path):
    push(server, project, source())
    tasks = tasks_of(server, project["id"])
    with Server(label_studio.url, second_person(server)) as other:
        for task in tasks[:3]:
            annotate(server, task)
            annotate(other, task, accept=False)
        annotate(other, tasks[3], was_cancelled=True)
        annotate(other, tasks[4], accept=False, label="weather")
    out = tmp_path / "out.jsonl"
    first = pull(server, project, out)
    bytes_of = [path.read_bytes() for path in (out, quarantine_path(out), state_path(out))]
    again = pull(server, project, out)
    assert (first.full, again.full, again.tasks_read) == (True, False, 0)
    assert [path.read_bytes() for path in (out, quarantine_path(out), state_path(out))] == bytes_of
    pull(server, project, out, full=True)
    assert [path.read_bytes() for path in (out, quarantine_path(out), state_path(out))] == bytes_of
    assert (first.pages, first.annotations, first.skipped, first.quarantined) == (3, 6, 1, 1)
    page = read_pages(out)[0]
    assert [a["accepted"] for a in page.annotations] == [True, False]
    assert len({a["annotator"] for a in page.annotations}) == 2
    assert page.segments[0].label == "boilerplate"  # a tie: the latest
    assert page.segments[0].also == "reported_claim"
    assert b"example.org" not in bytes_of[0] + bytes_of[1]


def test_pull_reads_only_what_changed(server, project, tmp_path):
    push(server, project, source())
    out = tmp_path / "out.jsonl"
    tasks = tasks_of(server, project["id"])
    made = [annotate(server, task) for task in tasks[:3]]
    pull(server, project, out)
    annotate(server, tasks[3])
    result = made[0]["result"]
    result[0]["value"]["labels"] = ["editorial_framing"]
    server.write("PATCH", f"api/annotations/{made[0]['id']}/", {"result": result})
    server.write("DELETE", f"api/annotations/{made[1]['id']}/")
    server.write("DELETE", f"api/tasks/{tasks[2]['id']}/")
    report = pull(server, project, out)
    assert (report.full, report.pages) == (False, 2)
    assert report.tasks_read == 2
    found = {page.article.article_id: page for page in read_pages(out)}
    assert sorted(found) == ["a0", "a3"]
    assert found["a0"].segments[0].label == "editorial_framing"
    incremental = out.read_bytes()
    pull(server, project, out, full=True)
    assert out.read_bytes() == incremental


def test_a_file_that_was_changed_by_hand_is_read_again_in_full(server, project, tmp_path):
    push(server, project, source())
    annotate(server, tasks_of(server, project["id"])[0])
    out = tmp_path / "out.jsonl"
    pull(server, project, out)
    good = out.read_bytes()
    record = json.loads(good)
    record["segments"] = [
        {**segment, "label": "boilerplate", "attribution": None, "unverified": None} for segment in record["segments"]
    ]
    out.write_text(json.dumps(record | {"split": "train"}) + "\n", encoding="utf-8")
    assert pull(server, project, out).full
    (page,) = read_pages(out)
    assert page.split == "train"  # decided elsewhere: it stays
    assert replace(page, split=None).to_dict() == json.loads(good)


@pytest.mark.parametrize("kind", ["scored", "labelled"])
def test_a_pull_never_replaces_pages_that_were_not_pulled(server, project, repository, tmp_path, kind):
    push(server, project, source())
    annotate(server, tasks_of(server, project["id"])[0])
    out = tmp_path / "out.jsonl"
    if kind == "scored":
        write_scored(pages(), out)
    else:
        shutil.copy(repository / "labels" / "gate.jsonl", out)
    before = out.read_bytes()
    for full in (False, True):
        with pytest.raises(InputError, match="which was not pulled: name another file"):
            pull(server, project, out, full=full)
    assert out.read_bytes() == before
    assert not state_path(out).exists()
    for name in ("out.parquet", "out"):
        with pytest.raises(InputError, match=r"to a \.jsonl or \.jsonl\.gz file"):
            pull(server, project, tmp_path / name)


def test_pages_of_another_project_are_replaced_only_when_asked(server, project, tmp_path, caplog):
    push(server, project, source())
    annotate(server, tasks_of(server, project["id"])[0])
    out = tmp_path / "out.jsonl"
    pull(server, project, out)
    before = out.read_bytes()
    other = init(server, new_title("autre"), GUIDE).project_id
    with pytest.raises(InputError, match=f"pages of project {project['id']} of .* with --full"):
        pull(server, {"id": other}, out)
    with pytest.raises(InputError, match="pages of project"):
        status(server, {"id": other}, output=out)
    assert out.read_bytes() == before
    assert pull(server, {"id": other}, out, full=True).pages == 0
    assert "1 pages leave" in caplog.text
    assert pull(server, project, out).pages == 1  # an empty file holds nothing to lose


def test_a_new_model_version_is_counted_switched_to_and_the_old_one_pruned(server, project, title):
    push(server, project, source())
    assert open_project(server, title)["model_version"] == "v1"
    report = push(server, project, source("v2"))
    assert (report.predicted, report.switched, report.pruned) == (5, True, [])
    assert open_project(server, title)["model_version"] == "v2"
    assert versions_of(server, project) == [("v1", "v2")] * 5
    report = push(server, project, source("v3"), PushOptions(keep=2))
    assert report.pruned == ["v1"]
    assert versions_of(server, project) == [("v2", "v3")] * 5
    assert push(server, project, source("v3"), PushOptions(keep=1)).pruned == ["v2"]
    assert push(server, project, source("v3")).left_alone == 5


def test_a_version_that_covers_a_part_is_not_switched_to(server, project, title):
    push(server, project, source())
    report = push(server, project, source("v2", articles=2))
    assert not report.switched
    assert "3 open tasks" in report.remarks[0]
    assert open_project(server, title)["model_version"] == "v1"
    assert push(server, project, source("v2", articles=2), PushOptions(switch=True)).switched


def test_work_survives_a_new_version_and_knows_where_it_came_from(server, project, tmp_path):
    push(server, project, source())
    for task in tasks_of(server, project["id"]):
        annotate(server, task)
    push(server, project, source("v2"), PushOptions(keep=1))
    pull(server, project, tmp_path / "out.jsonl")
    found = read_pages(tmp_path / "out.jsonl")
    assert {a["model_version"] for page in found for a in page.annotations} == {"v1"}
    assert all(a["accepted"] for page in found for a in page.annotations)


def test_tasks_of_others_are_let_be(server, project, tmp_path):
    foreign = [{"data": {"text": "Une page d’ailleurs.", "title": "", "outlet": ""}} for _ in range(2)]
    server.write("POST", f"api/projects/{project['id']}/import", foreign)
    push(server, project, source())
    assert len(tasks_of(server, project["id"])) == 7
    assert status(server, project).foreign == 2
    assert pull(server, project, tmp_path / "out.jsonl").quarantined == 0


def test_doubles_without_work_go_and_those_with_work_are_reported(server, project):
    push(server, project, source())
    tasks = tasks_of(server, project["id"])
    server.write("POST", f"api/projects/{project['id']}/import", [{"data": task["data"]} for task in tasks[:3]])
    both = tasks_of(server, project["id"])
    annotate(server, tasks[1])
    for task in (tasks[2], both[7]):
        annotate(server, {**task, "predictions": tasks[2]["predictions"]})
    report = push(server, project, source())
    assert report.doubles_removed == 2
    assert len(report.remarks) == 1
    assert "'a2'" in report.remarks[0]
    assert articles_of(server, project) == ["a0", "a1", "a2", "a2", "a3", "a4"]


def test_a_draft_counts_as_work(server, project):
    push(server, project, source(articles=2))
    tasks = tasks_of(server, project["id"])
    server.write("POST", f"api/projects/{project['id']}/import", [{"data": tasks[0]["data"]}])
    twin = tasks_of(server, project["id"])[2]
    draft = {"result": tasks[0]["predictions"][0]["result"], "lead_time": 2.0}
    server.write("POST", f"api/tasks/{twin['id']}/drafts", draft)
    assert push(server, project, source(articles=2)).doubles_removed == 1
    assert sorted(t["id"] for t in tasks_of(server, project["id"])) == [tasks[1]["id"], twin["id"]]


def test_names_of_versions_that_the_server_cuts_off_are_known_all_the_same(server, project):
    for name in ("a" * 300, "b" * 300):
        push(server, project, source(name, articles=2))
    again = push(server, project, source("b" * 300, articles=2))
    assert (again.left_alone, again.predicted) == (2, 0)
    assert versions_of(server, project) == [("a" * 300, "b" * 300)] * 2


def test_status_counts_and_writes_nothing(server, project, tmp_path):
    push(server, project, source(articles=3))
    tasks = tasks_of(server, project["id"])
    annotate(server, tasks[0])
    annotate(server, tasks[1], was_cancelled=True)
    found = status(server, open_project(server, project["title"]), source=source(), output=tmp_path / "out.jsonl")
    assert (found.tasks, found.done, found.skipped, found.model_version) == (3, 1, 1, "v1")
    assert (found.push.created, found.push.left_alone, found.pull["tasks"]) == (2, 3, 2)
    assert found.annotators == {"annotator-1": {"done": 1, "skipped": 1, "discussed": 0, "accepted": 1}}
    assert found.predictions == {"v1": 3}
    assert list(tmp_path.glob("out*")) == []
    json.dumps(found.to_dict())


def test_a_personal_access_token_works_like_a_legacy_one(server, label_studio, title):
    with Server(label_studio.url, personal_token(server)) as personal:
        assert personal.check_version() == "1.23.2"
        assert open_project(personal, title)["title"] == title
        assert push(personal, open_project(personal, title), source()).created == 5


def test_a_missing_project_is_named(server):
    with pytest.raises(InputError, match="no project 'nulle part': make it with"):
        open_project(server, "nulle part")
