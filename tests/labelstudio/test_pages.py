from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest
from scored_pages import NASTY, PAGE, annotation, linked, scored, task

from annotator.dataset import check, read_pages, write_pages
from annotator.labelled import CODEBOOK
from annotator.labelstudio.convert import prediction
from annotator.labelstudio.pages import build_pages, pseudonym, read_task


def build(*tasks, previous=None):
    return build_pages([read_task(item) for item in tasks], previous or {})


def relabelled(label, page=None, index=0):
    result = copy.deepcopy(prediction(page or scored())["result"])
    items = [item for item in result if item["from_name"] == "label"]
    items[index]["value"]["labels"] = [label]
    return result


def test_an_accepted_prediction_becomes_a_page_and_says_so(tmp_path):
    pages, quarantine = build(task(scored(NASTY, "n1", url="https://example.org/1", date="2026-03-01")))
    assert quarantine == []
    (page,) = pages
    assert page.article == scored(NASTY, "n1", url="https://example.org/1", date="2026-03-01").article
    (record,) = page.annotations
    assert (record["accepted"], record["skipped"], record["model_version"], record["prediction_id"]) == (
        True,
        False,
        "v1",
        5,
    )
    assert (record["annotator"], record["lead_time"], record["task_id"]) == ("annotator-3", 12.5, 7)
    assert {segment["origin"] for segment in record["segments"]} == {"kept"}
    assert check(pages, where="pull") == []
    write_pages(pages, tmp_path / "pulled.jsonl")
    assert read_pages(tmp_path / "pulled.jsonl")[0].to_dict() == page.to_dict()
    assert "someone@example.org" not in (tmp_path / "pulled.jsonl").read_text(encoding="utf-8")


def test_the_version_is_known_after_its_prediction_was_pruned():
    pages, _ = build(task(scored(), annotations=[annotation(prediction(scored())["result"], parent_prediction=None)]))
    assert pages[0].annotations[0]["model_version"] == "v1"


def test_the_order_of_tasks_and_annotations_does_not_matter():
    work = [annotation(relabelled("boilerplate"), number=n, user=n) for n in (1, 2, 3)]
    tasks = [task(scored(), annotations=work[:2]), task(scored(), task_id=9, annotations=work[2:])]
    first = build(*tasks, task(scored(NASTY, "a0"), task_id=3, annotations=[annotation([], number=8)]))
    tasks[0]["annotations"].reverse()
    again = build(task(scored(NASTY, "a0"), task_id=3, annotations=[annotation([], number=8)]), *reversed(tasks))
    assert [p.to_dict() for p in first[0]] == [p.to_dict() for p in again[0]]
    assert first[1] == again[1]
    assert [a["annotation_id"] for a in first[0][0].annotations] == [1, 2, 3]


def test_what_points_to_a_source_that_lost_the_vote_is_dropped():
    page = linked()
    kept, changed = prediction(page)["result"], copy.deepcopy(prediction(page)["result"])
    claims = [item for item in changed if item.get("from_name") == "label" and item["value"]["start"] == 0]
    claims[0]["value"]["labels"] = ["boilerplate"]
    changed = [i for i in changed if i["type"] != "relation" or i["from_id"].startswith("q")]
    annotations = [
        annotation(kept, number=1, user=1, updated="2026-03-03T10:00:00Z"),
        annotation(changed, number=2, user=2),
        annotation(changed, number=3, user=3),
    ]
    (built,), quarantine = build_pages([read_task(task(page, annotations=annotations))], {})
    assert quarantine == []
    assert built.segments[0].label == "boilerplate"
    assert built.segments[1].attribution.antecedent is None  # the name it stood for is furniture now
    assert built.segments[2].attribution.source_segment == 1


def test_the_majority_decides_and_what_lost_is_noted():
    work = [
        annotation(relabelled("boilerplate"), number=1, user=1),
        annotation(relabelled("boilerplate"), number=2, user=2),
        annotation(relabelled("editorial_framing"), number=3, user=3, updated="2026-03-02T00:00:00Z"),
    ]
    (page,), _ = build(task(scored(), annotations=work))
    assert (page.segments[0].label, page.segments[0].also) == ("boilerplate", "editorial_framing")
    assert page.segments[1].also is None
    assert page.segments[1].attribution == scored().segments[1].attribution


def test_a_tie_goes_to_the_latest():
    work = [
        annotation(relabelled("boilerplate"), number=1, user=1, updated="2026-03-02T00:00:00Z"),
        annotation(relabelled("editorial_framing"), number=2, user=2),
    ]
    (page,), _ = build(task(scored(), annotations=work))
    assert (page.segments[0].label, page.segments[0].also) == ("boilerplate", "editorial_framing")


def test_a_person_has_one_vote_the_last():
    work = [
        annotation(relabelled("boilerplate"), number=1, user=1),
        annotation(relabelled("boilerplate"), number=2, user=1),
        annotation(relabelled("editorial_framing"), number=3, user=1, updated="2026-03-02T00:00:00Z"),
    ]
    (page,), _ = build(task(scored(), annotations=work))
    assert (page.segments[0].label, page.segments[0].also) == ("editorial_framing", None)
    assert len(page.annotations) == 3


def test_what_cannot_be_used_goes_aside_with_its_reason_and_the_rest_stays():
    work = [annotation(relabelled("weather"), number=1), annotation(relabelled("boilerplate"), number=2, user=4)]
    pages, (entry,) = build(task(scored(), annotations=work))
    assert [a["annotation_id"] for a in pages[0].annotations] == [2]
    assert (entry["annotation_id"], entry["task_id"], entry["article_id"]) == (1, 7, "p1")
    assert "label 'weather'" in entry["reason"]
    json.dumps(entry)


def test_a_page_that_everyone_skipped_makes_no_truth():
    pages, (entry,) = build(task(scored(), annotations=[annotation([], was_cancelled=True)]))
    assert pages == []
    assert entry["reason"].startswith("skipped")


def test_a_skip_keeps_its_comment_and_what_was_shown():
    said = {"id": "x", "from_name": "comment", "to_name": "text", "type": "textarea", "value": {"text": ["Illisible"]}}
    result = [*prediction(scored())["result"], said]  # Label Studio sends the regions with a skip
    _, (entry,) = build(task(scored(), annotations=[annotation(result, was_cancelled=True)]))
    assert (entry["comment"], entry["skipped"], entry["lead_time"]) == ("Illisible", True, 12.5)
    work = [annotation(result, was_cancelled=True), annotation(relabelled("boilerplate"), number=2, user=4)]
    ((page,), _) = build(task(scored(), annotations=work))
    skip = page.annotations[0]
    assert (skip["comment"], skip["model_version"], skip["segments"]) == ("Illisible", "v1", [])


def test_a_skip_beside_work_is_kept_in_the_page():
    work = [annotation([], was_cancelled=True, number=1), annotation(relabelled("boilerplate"), number=2, user=4)]
    (page,), quarantine = build(task(scored(), annotations=work))
    assert [a["skipped"] for a in page.annotations] == [True, False]
    assert quarantine == []
    assert check([page], where="pull") == []


def test_work_on_a_text_that_changed_since_goes_aside():
    old, new = scored(PAGE), scored(PAGE + "\nUn ajout.")
    pages, (entry,) = build(task(old, task_id=1), task(new, task_id=2))
    assert pages[0].article == new.article
    assert entry["task_id"] == 1
    assert "task 2 shows the new one" in entry["reason"]


@pytest.mark.parametrize("change", [{"text": "x"}, {"text_sha256": "0"}, {"article_id": 4}])
def test_a_task_that_was_edited_on_the_server_goes_aside(change):
    item = task(scored())
    item["data"] |= change
    pages, quarantine = build(item)
    assert pages == []
    assert len(quarantine) == 1


def test_split_and_genre_that_were_decided_elsewhere_stay():
    (page,), _ = build(task(scored()))
    previous = {"p1": replace(page, split="gate", genre="daily", topic="port", features="grue")}
    (again,), _ = build(task(scored()), previous=previous)
    assert (again.split, again.genre, again.topic, again.features) == ("gate", "daily", "port", "grue")


def test_the_codebook_of_the_day_stays_until_somebody_touches_the_work():
    work = annotation(prediction(scored())["result"], updated="2026-03-03T10:00:00Z")
    (page,), _ = build(task(scored(), annotations=[work]))
    old = replace(page, annotations=tuple({**item, "codebook": 0} for item in page.annotations))
    before = {page.article.article_id: old}
    (again,), _ = build(task(scored(), annotations=[work]), previous=before)
    assert [item["codebook"] for item in again.annotations] == [0]
    (touched,), _ = build(task(scored(), annotations=[work | {"updated_at": "2026-04-01T10:00:00Z"}]), previous=before)
    assert [item["codebook"] for item in touched.annotations] == [CODEBOOK]


@pytest.mark.parametrize("user", [4, {"id": 4, "email": "x@example.org"}])
def test_a_pseudonym_is_a_number(user):
    assert pseudonym(user) == "annotator-4"
    assert "@" not in pseudonym("x@example.org")
